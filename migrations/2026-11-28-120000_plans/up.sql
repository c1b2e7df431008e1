-- When a schedule's next run was planned, and by which version of the time zone data: when the data changes, what was
-- planned by older data is planned again. Empty: by a program that did not note it.
alter table server_schedules
    add column zone_version text collate "C" not null default '',
    add column planned_at timestamptz;

-- The latest slot of a schedule that has become an operation of this server: an older one, caught up with later, must not
-- undo it.
alter table game_servers add column latest_slot timestamptz;
