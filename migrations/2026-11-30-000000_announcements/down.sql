-- Announcements that wait are lost, and the channels in which they are made.
delete from notices where kind in ('power_announced', 'run_failed');
alter table notices
    drop constraint notices_announced,
    drop constraint notices_kind,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out')),
    drop column schedule_id,
    drop column slot,
    drop column due_at,
    drop column next_at;
alter table schedule_run_steps drop column postponed_s;
drop table server_announcements;
