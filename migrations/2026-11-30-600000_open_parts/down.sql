drop index concurrently if exists idx_schedule_runs_open_parts;
