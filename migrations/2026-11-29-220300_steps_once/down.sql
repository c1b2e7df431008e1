drop index concurrently if exists idx_schedules_at;
