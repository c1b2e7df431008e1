drop table schedule_run_steps;
delete from server_schedules where action = 'steps';
-- A schedule of steps may have become one of an action since.
delete from schedule_runs where action = 'steps';
alter table schedule_runs
    drop column begun_at,
    drop column look_at,
    drop column ended_by,
    drop constraint schedule_runs_action_check,
    add constraint schedule_runs_action_check check (action in ('start', 'stop', 'restart')) not valid;
alter table server_schedules
    drop column work,
    drop column at,
    alter column cron_expression set not null,
    drop constraint server_schedules_actions,
    add constraint server_schedules_action_check check (action in ('start', 'stop', 'restart')),
    add constraint server_schedules_actions check (action in ('start', 'stop', 'restart')) not valid;
