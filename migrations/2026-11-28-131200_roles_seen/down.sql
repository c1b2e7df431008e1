drop index concurrently if exists idx_member_roles_seen;
