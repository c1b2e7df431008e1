-- A server shows what the open runs on it have ahead; those of schedules for labels are found by the server.
create index concurrently if not exists idx_schedule_runs_open_parts on schedule_runs (server_id)
    where server_id is not null and state = 'pending';
