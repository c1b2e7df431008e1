-- The schema of AGIS v1.7.0 (the Go version). A database that has it already is taken over as it is.

create table if not exists users (
    discord_id varchar(32) primary key,
    credits integer default 100,
    tier varchar(20) default 'free',
    last_daily timestamp,
    last_work timestamp,
    servers_used integer default 0,
    join_date timestamp default now(),
    wtg_coins integer default 0,
    subscription_expires timestamp
);
create index if not exists idx_users_tier on users (tier);
create index if not exists idx_users_credits on users (credits desc);
create index if not exists idx_users_servers_used on users (servers_used desc);

create table if not exists game_servers (
    id serial primary key,
    discord_id varchar(32) not null references users (discord_id),
    name varchar(100) not null,
    game_type varchar(50) not null,
    status varchar(20) default 'stopped',
    address varchar(255),
    port integer,
    created_at timestamp default now(),
    cost_per_hour integer default 0,
    is_public boolean default false,
    description text,
    kubernetes_uid varchar(255),
    agones_status varchar(50),
    last_status_sync timestamp,
    stopped_at timestamp,
    last_heartbeat timestamp,
    error_message text,
    cleanup_at timestamp,
    updated_at timestamp default now()
);

create table if not exists server_schedules (
    id serial primary key,
    server_id integer not null references game_servers (id) on delete cascade,
    discord_id varchar(32) not null references users (discord_id),
    action varchar(20) not null check (action in ('start', 'stop', 'restart')),
    cron_expression varchar(100) not null,
    timezone varchar(50) default 'UTC',
    enabled boolean default true,
    last_run timestamp,
    next_run timestamp,
    created_at timestamp default now(),
    updated_at timestamp default now()
);
create index if not exists idx_schedules_next_run on server_schedules (next_run) where enabled;
create index if not exists idx_schedules_discord_id on server_schedules (discord_id);
create index if not exists idx_schedules_server_id on server_schedules (server_id);

create table if not exists api_keys (
    id serial primary key,
    key_hash varchar(128) not null unique,
    discord_id varchar(32) not null references users (discord_id),
    name varchar(100) not null,
    scopes text[],
    rate_limit integer default 100,
    last_used timestamp,
    created_at timestamp default now(),
    expires_at timestamp
);
create index if not exists idx_api_keys_hash on api_keys (key_hash);
create index if not exists idx_api_keys_discord_id on api_keys (discord_id);

create table if not exists user_stats (
    discord_id varchar(32) primary key references users (discord_id),
    total_servers_created integer default 0,
    total_commands_used integer default 0,
    total_credits_earned integer default 0,
    total_credits_spent integer default 0,
    total_ad_conversions integer default 0,
    total_wtg_purchased integer default 0,
    last_command_at timestamp,
    updated_at timestamp default now()
);

create or replace function update_user_stats_updated_at() returns trigger language plpgsql as $$
begin
    new.updated_at = now();
    return new;
end
$$;
drop trigger if exists trigger_user_stats_updated_at on user_stats;
create trigger trigger_user_stats_updated_at before update on user_stats
    for each row execute function update_user_stats_updated_at();
