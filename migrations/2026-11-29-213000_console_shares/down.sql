drop view server_grants;
update server_shares set permissions = array_remove(permissions, 'console') where 'console' = any(permissions);
alter table server_shares drop constraint server_shares_permissions;
alter table server_shares add constraint server_shares_permissions check
    (permissions <@ array['read', 'start', 'stop', 'restart', 'schedule'] and 'read' = any(permissions));
alter table server_shares drop column commands;
create view server_grants as
    select server_id, grantee_id as discord_id, permissions, null::timestamptz as seen_at
    from server_shares where kind = 'member'
    union all
    select s.server_id, m.discord_id, s.permissions, m.seen_at
    from member_roles m cross join unnest(m.roles) as r(id)
    join server_shares s on s.kind = 'role' and s.grantee_id = r.id and s.guild_id = m.guild_id
    where not exists (
        select from server_leavers l where l.server_id = s.server_id and l.discord_id = m.discord_id);
