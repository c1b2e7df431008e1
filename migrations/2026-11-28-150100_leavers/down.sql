-- Who had left has it again, after this.
create or replace view server_grants as
    select server_id, grantee_id as discord_id, permissions, null::timestamptz as seen_at
    from server_shares where kind = 'member'
    union all
    select s.server_id, m.discord_id, s.permissions, m.seen_at
    from member_roles m cross join unnest(m.roles) as r(id)
    join server_shares s on s.kind = 'role' and s.grantee_id = r.id and s.guild_id = m.guild_id;
drop table server_leavers;
