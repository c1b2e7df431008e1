-- What owners let others do on their servers.
create table server_shares (
    server_id integer not null references game_servers (id) on delete cascade,
    kind text not null,
    -- A member's or a role's Discord id. Neither need be known here.
    grantee_id text not null,
    guild_id text,
    permissions text[] not null,
    granted_by text not null,
    created_at timestamptz not null default now(),
    primary key (server_id, kind, grantee_id),
    constraint server_shares_kind check (kind in ('member', 'role')),
    constraint server_shares_guild check ((kind = 'role') = (guild_id is not null)),
    constraint server_shares_permissions check
        (permissions <@ array['read', 'start', 'stop', 'restart', 'schedule'] and 'read' = any(permissions))
);
create index idx_server_shares_grantee on server_shares (grantee_id);
create index idx_server_shares_guild on server_shares (guild_id) where guild_id is not null;

-- Which roles members had when they were last seen. The guild's own id is the role that everybody has.
create table member_roles (
    discord_id text not null,
    guild_id text not null,
    roles text[] not null,
    seen_at timestamptz not null default now(),
    primary key (discord_id, guild_id),
    constraint member_roles_some check (cardinality(roles) > 0)
);
create index idx_member_roles_guild on member_roles (guild_id, seen_at);

-- What each share lets each person do; with when their role was seen, where it is by a role. How long that counts is
-- for the reader to say.
create view server_grants as
    select server_id, grantee_id as discord_id, permissions, null::timestamptz as seen_at
    from server_shares where kind = 'member'
    union all
    select s.server_id, m.discord_id, s.permissions, m.seen_at
    from member_roles m cross join unnest(m.roles) as r(id)
    join server_shares s on s.kind = 'role' and s.grantee_id = r.id and s.guild_id = m.guild_id;
