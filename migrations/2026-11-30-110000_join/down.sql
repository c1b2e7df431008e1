update operations set origin = 'operator' where origin = 'join';
-- An earlier version reads no rule with a gate.
update server_idle set rule = rule - 'wake_on_join' where rule ? 'wake_on_join';
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check
        check (origin in ('rest', 'discord', 'schedule', 'operator', 'supervisor', 'idle')) not valid;
