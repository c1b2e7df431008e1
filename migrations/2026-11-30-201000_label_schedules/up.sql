-- A schedule acts on one server, or on those that carry a label when a run is due; action is 'servers' then.
-- at_most, stagger_s: its pace from server to server; null: all at once.
-- Older programs leave schedules alone whose action they do not know.
alter table server_schedules
    alter column server_id drop not null,
    add column label varchar(100),
    add column at_most integer,
    add column stagger_s integer,
    drop constraint server_schedules_actions,
    add constraint server_schedules_actions check (action in ('start', 'stop', 'restart', 'steps', 'servers')) not valid,
    drop constraint server_schedules_work,
    add constraint server_schedules_work
        check ((action in ('steps', 'servers')) = (work is not null) and octet_length(work::text) <= 65536) not valid,
    drop constraint server_schedules_trigger,
    add constraint server_schedules_trigger
        check (num_nonnulls(cron_expression, at) = 1 and (at is null or action in ('steps', 'servers'))) not valid,
    add constraint server_schedules_target
        check (num_nonnulls(server_id, label) = 1 and (label is not null) = (action = 'servers')) not valid,
    add constraint server_schedules_pace check (at_most > 0 and stagger_s >= 0) not valid;
-- A run on many servers has a run with steps on each of them: of_slot is the slot of the whole, server_id the server. Its
-- look_at is null until its turn comes.
alter table schedule_runs
    add column of_slot timestamptz,
    add column server_id integer,
    drop constraint schedule_runs_action_check,
    add constraint schedule_runs_action_check
        check (action in ('start', 'stop', 'restart', 'steps', 'servers')) not valid,
    add constraint schedule_runs_parts
        check (num_nonnulls(of_slot, server_id) in (0, 2) and (of_slot is null or action = 'steps')) not valid;
