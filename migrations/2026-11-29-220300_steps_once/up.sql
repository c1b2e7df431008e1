-- Schedules that fired once are forgotten by their instant.
create index concurrently if not exists idx_schedules_at on server_schedules (at) where at is not null;
