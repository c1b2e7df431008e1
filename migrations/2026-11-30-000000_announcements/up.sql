-- Channel of Discord in which people hear that a server is about to stop or to restart.
create table server_announcements (
    server_id integer primary key references game_servers (id) on delete cascade,
    channel_id text not null check (char_length(channel_id) <= 20)
);
-- Seconds by which people have lengthened a wait.
alter table schedule_run_steps add column postponed_s integer not null default 0;
-- due_at: the time of the action that is announced; next_at: that of the schedule's next run, if there is one;
-- schedule_id and slot: the run, which may be forgotten before.
alter table notices
    add column schedule_id integer,
    add column slot timestamptz,
    add column due_at timestamptz,
    add column next_at timestamptz,
    drop constraint notices_kind,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out',
                  'power_announced', 'run_failed')) not valid,
    add constraint notices_announced check
        (kind <> 'power_announced' or num_nonnulls(schedule_id, slot, due_at, channel_id, action) = 5) not valid;
