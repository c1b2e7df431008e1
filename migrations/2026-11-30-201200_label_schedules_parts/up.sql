-- A stop of a server ends the runs on it.
create index concurrently if not exists idx_schedule_runs_server_id on schedule_runs (server_id) where server_id is not null;
