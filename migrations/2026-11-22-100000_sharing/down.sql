-- What was shared is not, after this.
drop view server_grants;
drop table member_roles;
drop table server_shares;
