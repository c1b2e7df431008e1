-- Who wants nothing of a server, whatever is shared with their roles. What is shared with them by name counts.
create table server_leavers (
    server_id integer not null references game_servers (id) on delete cascade,
    discord_id text not null,
    left_at timestamptz not null default now(),
    primary key (server_id, discord_id)
);

create or replace view server_grants as
    select server_id, grantee_id as discord_id, permissions, null::timestamptz as seen_at
    from server_shares where kind = 'member'
    union all
    select s.server_id, m.discord_id, s.permissions, m.seen_at
    from member_roles m cross join unnest(m.roles) as r(id)
    join server_shares s on s.kind = 'role' and s.grantee_id = r.id and s.guild_id = m.guild_id
    where not exists (
        select from server_leavers l where l.server_id = s.server_id and l.discord_id = m.discord_id);
