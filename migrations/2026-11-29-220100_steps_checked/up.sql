alter table server_schedules
    validate constraint server_schedules_actions,
    validate constraint server_schedules_work,
    validate constraint server_schedules_trigger;
alter table schedule_runs validate constraint schedule_runs_action_check;
