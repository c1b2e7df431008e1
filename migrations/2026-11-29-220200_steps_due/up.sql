-- For the loop of runs with steps, which waits for the next look at one.
create index concurrently if not exists idx_schedule_runs_look_at on schedule_runs (look_at) where look_at is not null;
