alter table game_servers drop column latest_slot;
alter table server_schedules
    drop column planned_at,
    drop column zone_version;
