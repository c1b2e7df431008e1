-- Actions on many servers that are through when no message follows them any more.
alter table notices
    drop constraint notices_kind,
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out',
                  'power_announced', 'power_called_off', 'run_failed', 'server_idle', 'actions_ended')) not valid;
