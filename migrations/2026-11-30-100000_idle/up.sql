-- Rules for stops when nobody plays: one row for each server that has one. An earlier version neither reads nor writes them.
create table server_idle (
    server_id integer primary key references game_servers (id) on delete cascade,
    rule jsonb not null check (jsonb_typeof(rule) = 'object' and octet_length(rule::text) <= 8192),
    -- Stop that was announced: the beginning of the emptiness that it ends, its time, and whether the last announcement was
    -- made. Null: none was.
    empty_since timestamptz,
    stop_at timestamptz,
    is_last boolean,
    -- Stop by the rule: its time and its generation, until something else is asked of the server.
    asleep_since timestamptz,
    asleep_generation bigint,
    -- Time from which the server would have cost credits. Null: nobody pays.
    saves_from timestamptz,
    -- Credits that sleeps saved, until the last start.
    saved_credits bigint not null default 0
);
-- Time in which every count of the run was zero, from the first to the last count. Both are null if the last was another one.
-- An earlier version leaves them as they are: they count only if the last count is empty_until.
alter table server_players
    add column empty_since timestamptz,
    add column empty_until timestamptz;
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check
        check (origin in ('rest', 'discord', 'schedule', 'operator', 'supervisor', 'idle')) not valid;
alter table notices
    drop constraint notices_kind,
    drop constraint notices_about,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out',
                  'power_announced', 'run_failed', 'server_idle')) not valid,
    add constraint notices_about check
        ((kind in ('server_crashed', 'credits_out', 'server_idle')) = (generation is not null)
         and (kind like 'operation\_%') = (operation_id is not null)) not valid;
