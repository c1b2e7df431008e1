-- work: the steps of each run, unless it is one action; action is 'steps' then.
-- at: the instant at which a schedule without an expression fires, once.
-- Older programs leave schedules alone whose action they do not know.
-- The Go version's own check of the actions may have any name.
do $$
declare
    of_actions name;
begin
    for of_actions in
        select conname from pg_constraint
        where conrelid = 'server_schedules'::regclass and contype = 'c' and pg_get_constraintdef(oid) like '%action%'
    loop
        execute format('alter table server_schedules drop constraint %I', of_actions);
    end loop;
end $$;
alter table server_schedules
    add column work jsonb,
    add column at timestamptz,
    alter column cron_expression drop not null,
    add constraint server_schedules_actions check (action in ('start', 'stop', 'restart', 'steps')) not valid,
    add constraint server_schedules_work
        check ((action = 'steps') = (work is not null) and octet_length(work::text) <= 65536) not valid,
    add constraint server_schedules_trigger
        check (num_nonnulls(cron_expression, at) = 1 and (at is null or action = 'steps')) not valid;
-- begun_at: the time at which the condition of a run with steps was met; its steps have rows since.
-- look_at: the time at which the run is looked at again. ended_by: the cause that ends it before its steps have ended.
alter table schedule_runs
    add column begun_at timestamptz,
    add column look_at timestamptz,
    add column ended_by text,
    drop constraint schedule_runs_action_check,
    add constraint schedule_runs_action_check check (action in ('start', 'stop', 'restart', 'steps')) not valid;
create table schedule_run_steps (
    schedule_id integer not null,
    slot timestamptz not null,
    place smallint not null check (place between 0 and 1000),
    step jsonb not null check (octet_length(step::text) <= 8192),
    state text not null default 'waiting' check (state in ('waiting', 'running', 'succeeded', 'failed', 'skipped')),
    reason text,
    -- Chosen ahead, so that whoever takes the run over does nothing twice.
    operation_id uuid not null,
    started_at timestamptz,
    ended_at timestamptz,
    primary key (schedule_id, slot, place),
    foreign key (schedule_id, slot) references schedule_runs on delete cascade
);
-- A request that comes of a step asks whether its run goes on.
create index idx_schedule_run_steps_operation on schedule_run_steps (operation_id);
