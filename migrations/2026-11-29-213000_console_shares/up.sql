-- Owners let others send commands to a game: every one, or those that begin with the words of this list.
alter table server_shares add column commands text[];
alter table server_shares add constraint server_shares_commands check (cardinality(commands) between 1 and 50) not valid;
alter table server_shares drop constraint server_shares_permissions;
alter table server_shares add constraint server_shares_permissions check
    (permissions <@ array['read', 'start', 'stop', 'restart', 'schedule', 'console'] and 'read' = any(permissions)) not valid;

create or replace view server_grants as
    select server_id, grantee_id as discord_id, permissions, null::timestamptz as seen_at, commands
    from server_shares where kind = 'member'
    union all
    select s.server_id, m.discord_id, s.permissions, m.seen_at, s.commands
    from member_roles m cross join unnest(m.roles) as r(id)
    join server_shares s on s.kind = 'role' and s.grantee_id = r.id and s.guild_id = m.guild_id
    where not exists (
        select from server_leavers l where l.server_id = s.server_id and l.discord_id = m.discord_id);
