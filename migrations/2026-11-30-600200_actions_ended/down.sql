delete from notices where kind = 'actions_ended';
alter table notices
    drop constraint notices_kind,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out',
                  'power_announced', 'power_called_off', 'run_failed', 'server_idle')) not valid;
