-- From the v1.7.0 schema to this program's: moments instead of local times, rules as constraints, and the rows that
-- make every promise durable. Times without a zone are UTC.

-- users --------------------------------------------------------------------------------------------------------------
update users set credits = 0 where credits is null or credits < 0;
update users set tier = 'free' where tier is null;
update users set join_date = now() at time zone 'UTC' where join_date is null;
alter table users
    alter column last_daily type timestamptz using last_daily at time zone 'UTC',
    alter column last_work type timestamptz using last_work at time zone 'UTC',
    alter column join_date type timestamptz using join_date at time zone 'UTC',
    alter column subscription_expires type timestamptz using subscription_expires at time zone 'UTC',
    alter column credits set not null,
    alter column tier set not null,
    alter column join_date set not null,
    alter column join_date set default now(),
    add constraint users_credits_not_negative check (credits >= 0);

-- game_servers -------------------------------------------------------------------------------------------------------
-- Rows of the Go version have no host: their servers run on, and no worker of ours touches them.
alter table game_servers
    alter column created_at type timestamptz using created_at at time zone 'UTC',
    alter column last_status_sync type timestamptz using last_status_sync at time zone 'UTC',
    alter column stopped_at type timestamptz using stopped_at at time zone 'UTC',
    alter column last_heartbeat type timestamptz using last_heartbeat at time zone 'UTC',
    alter column cleanup_at type timestamptz using cleanup_at at time zone 'UTC',
    alter column updated_at type timestamptz using updated_at at time zone 'UTC',
    add column host text,
    add column desired text not null default 'stopped',
    add column generation bigint not null default 0,
    -- The generation at which `status` was last published.
    add column status_generation bigint not null default 0,
    add column deleted_at timestamptz,
    -- What the Go version said of a server, for the way back: two of its words are one of ours.
    add column former_status varchar(20);
update game_servers set
    former_status = status,
    status = case status
        when 'pending' then 'starting' when 'requested' then 'starting' when 'creating' then 'starting'
        when 'starting' then 'starting' when 'ready' then 'running' when 'running' then 'running'
        when 'stopping' then 'stopping' when 'stopped' then 'stopped' when 'error' then 'failed'
        else 'stopped' end,
    desired = case when status in ('pending', 'requested', 'creating', 'starting', 'ready', 'running')
        then 'running' else 'stopped' end,
    created_at = coalesce(created_at, now()),
    updated_at = coalesce(updated_at, now()),
    cost_per_hour = greatest(coalesce(cost_per_hour, 0), 0),
    is_public = coalesce(is_public, false);
alter table game_servers
    alter column status set not null,
    alter column created_at set not null,
    alter column created_at set default now(),
    alter column updated_at set not null,
    alter column updated_at set default now(),
    alter column cost_per_hour set not null,
    alter column is_public set not null,
    add constraint game_servers_status check
        (status in ('stopped', 'starting', 'running', 'stopping', 'crashed', 'failed', 'deleting')),
    add constraint game_servers_desired check (desired in ('stopped', 'running', 'deleted')),
    add constraint game_servers_generation check (generation >= 0),
    add constraint game_servers_cost check (cost_per_hour >= 0);
create index idx_game_servers_owner on game_servers (discord_id, id) where deleted_at is null;
create index idx_game_servers_running on game_servers (host) where status = 'running';

-- server_schedules ---------------------------------------------------------------------------------------------------
alter table server_schedules
    alter column last_run type timestamptz using last_run at time zone 'UTC',
    alter column next_run type timestamptz using next_run at time zone 'UTC',
    alter column created_at type timestamptz using created_at at time zone 'UTC',
    alter column updated_at type timestamptz using updated_at at time zone 'UTC',
    add column missed_run_policy text not null default 'run_once',
    add column disabled_reason text;
-- The stored next_run was computed without the zone. Planning starts anew from now; a time that is no slot fires
-- nothing.
update server_schedules set
    action = lower(btrim(action)),
    timezone = coalesce(nullif(btrim(timezone), ''), 'UTC'),
    enabled = coalesce(enabled, true),
    next_run = case when coalesce(enabled, true) then now() end,
    created_at = coalesce(created_at, now()),
    updated_at = coalesce(updated_at, now());
alter table server_schedules
    alter column timezone set not null,
    alter column enabled set not null,
    alter column created_at set not null,
    alter column created_at set default now(),
    alter column updated_at set not null,
    alter column updated_at set default now(),
    -- The Go version's own check may have been another.
    add constraint server_schedules_actions check (action in ('start', 'stop', 'restart')),
    add constraint server_schedules_policy check (missed_run_policy in ('run_once', 'skip')),
    add constraint server_schedules_next_run check (enabled = (next_run is not null));

-- api_keys -----------------------------------------------------------------------------------------------------------
alter table api_keys
    alter column last_used type timestamptz using last_used at time zone 'UTC',
    alter column created_at type timestamptz using created_at at time zone 'UTC',
    alter column expires_at type timestamptz using expires_at at time zone 'UTC';
update api_keys set
    scopes = coalesce(scopes, '{}'),
    rate_limit = greatest(coalesce(rate_limit, 100), 1),
    created_at = coalesce(created_at, now());
alter table api_keys
    alter column scopes set not null,
    alter column rate_limit set not null,
    alter column created_at set not null,
    alter column created_at set default now(),
    add constraint api_keys_rate_limit check (rate_limit >= 1);

-- user_stats ---------------------------------------------------------------------------------------------------------
alter table user_stats
    alter column last_command_at type timestamptz using last_command_at at time zone 'UTC',
    alter column updated_at type timestamptz using updated_at at time zone 'UTC';

-- operations ---------------------------------------------------------------------------------------------------------
create table operations (
    id uuid primary key,
    server_id integer not null references game_servers (id) on delete cascade,
    action text not null check (action in ('start', 'stop', 'restart', 'delete')),
    state text not null default 'queued'
        check (state in ('queued', 'running', 'succeeded', 'failed', 'superseded', 'expired')),
    origin text not null check (origin in ('rest', 'discord', 'schedule', 'operator')),
    actor text not null,
    idempotency_key text unique,
    generation bigint not null,
    error text,
    -- A lease: which attempt, until when. Both are by this database's clock.
    attempt integer not null default 0,
    lease_until timestamptz,
    -- Not before this, where an attempt was put off.
    available_at timestamptz not null default now(),
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint operations_lease check ((state = 'running') = (lease_until is not null)),
    constraint operations_finished check ((state in ('queued', 'running')) = (finished_at is null))
);
-- One runs per server, and one waits: a newer one supersedes it.
create unique index idx_operations_one_runs on operations (server_id) where state = 'running';
create unique index idx_operations_one_waits on operations (server_id) where state = 'queued';
create index idx_operations_open on operations (available_at) where state in ('queued', 'running');
create index idx_operations_server on operations (server_id, id desc);
create index idx_operations_keys on operations (created_at) where idempotency_key is not null and origin <> 'schedule';
create index idx_operations_finished on operations (finished_at);

-- schedule_runs ------------------------------------------------------------------------------------------------------
create table schedule_runs (
    schedule_id integer not null references server_schedules (id) on delete cascade,
    slot timestamptz not null,
    action text not null check (action in ('start', 'stop', 'restart')),
    -- The local times that met in this instant, where they are more than one.
    local_slots timestamp[] not null default '{}',
    state text not null check (state in ('pending', 'succeeded', 'failed', 'skipped', 'missed')),
    reason text,
    -- How many slots this row stands for: more than one where old missed ones were folded.
    slots bigint not null default 1 check (slots >= 1),
    claimed_at timestamptz not null default now(),
    operation_id uuid references operations (id) on delete set null,
    finished_at timestamptz,
    primary key (schedule_id, slot),
    constraint schedule_runs_finished check ((state = 'pending') = (finished_at is null))
);
create index idx_schedule_runs_pending on schedule_runs (schedule_id, slot) where state = 'pending';
create index idx_schedule_runs_operation on schedule_runs (operation_id) where operation_id is not null;
create index idx_schedule_runs_finished on schedule_runs (finished_at);
