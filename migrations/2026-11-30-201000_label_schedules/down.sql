delete from server_schedules where label is not null;
alter table schedule_runs
    drop column of_slot,
    drop column server_id,
    drop constraint schedule_runs_action_check,
    add constraint schedule_runs_action_check check (action in ('start', 'stop', 'restart', 'steps')) not valid;
alter table server_schedules
    drop column label,
    drop column at_most,
    drop column stagger_s,
    alter column server_id set not null,
    drop constraint server_schedules_actions,
    add constraint server_schedules_actions check (action in ('start', 'stop', 'restart', 'steps')) not valid,
    drop constraint server_schedules_work,
    add constraint server_schedules_work
        check ((action = 'steps') = (work is not null) and octet_length(work::text) <= 65536) not valid,
    drop constraint server_schedules_trigger,
    add constraint server_schedules_trigger
        check (num_nonnulls(cron_expression, at) = 1 and (at is null or action = 'steps')) not valid;
