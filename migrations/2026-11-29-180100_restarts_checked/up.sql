alter table operations validate constraint operations_origin_check;
alter table game_servers
    validate constraint game_servers_restart_policy,
    validate constraint game_servers_restarts;
