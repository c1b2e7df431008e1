drop index concurrently if exists idx_schedule_run_steps_acting;
