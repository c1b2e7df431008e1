-- restart_policy: rule by which the supervisor starts the server again. Null: the one of its game.
-- restarts: times at which it did so in the present streak. restart_max: how many it may.
-- restart_generation: generation at whose end it decided last, or to which it brought the server since. Another one was
-- asked for by somebody else, and begins a new streak.
-- restart_at: time of the next restart.
-- Rows from before have none of these, so nothing is left to validate but the origins.
alter table game_servers
    add column restart_policy jsonb,
    add column restarts timestamptz[] not null default '{}',
    add column restart_max integer,
    add column restart_generation bigint,
    add column restart_at timestamptz,
    add constraint game_servers_restart_policy
        check (jsonb_typeof(restart_policy) = 'object' and octet_length(restart_policy::text) <= 1024) not valid,
    add constraint game_servers_restarts check (cardinality(restarts) <= 1000) not valid;
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check
        check (origin in ('rest', 'discord', 'schedule', 'operator', 'supervisor')) not valid;
