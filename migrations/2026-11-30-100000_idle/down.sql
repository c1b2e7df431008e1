update operations set origin = 'operator' where origin = 'idle';
delete from notices where kind = 'server_idle';
alter table notices
    drop constraint notices_kind,
    drop constraint notices_about,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out',
                  'power_announced', 'run_failed')) not valid,
    add constraint notices_about check
        ((kind in ('server_crashed', 'credits_out')) = (generation is not null)
         and (kind like 'operation\_%') = (operation_id is not null)) not valid;
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check
        check (origin in ('rest', 'discord', 'schedule', 'operator', 'supervisor')) not valid;
alter table server_players
    drop column empty_since,
    drop column empty_until;
drop table server_idle;
