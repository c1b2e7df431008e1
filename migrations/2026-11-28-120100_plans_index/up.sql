create index concurrently if not exists idx_schedules_zone_version on server_schedules (zone_version) where enabled;
