-- Players wake servers that sleep.
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check
        check (origin in ('rest', 'discord', 'schedule', 'operator', 'supervisor', 'idle', 'join')) not valid;
