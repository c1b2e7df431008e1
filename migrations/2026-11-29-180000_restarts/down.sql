update operations set origin = 'operator' where origin = 'supervisor';
alter table operations
    drop constraint operations_origin_check,
    add constraint operations_origin_check check (origin in ('rest', 'discord', 'schedule', 'operator')) not valid;
alter table game_servers
    drop column restart_policy,
    drop column restarts,
    drop column restart_max,
    drop column restart_generation,
    drop column restart_at;
