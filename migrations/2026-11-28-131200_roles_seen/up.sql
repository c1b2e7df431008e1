-- For who forgets the roles of members who have not been seen for long.
create index concurrently if not exists idx_member_roles_seen on member_roles (seen_at);
