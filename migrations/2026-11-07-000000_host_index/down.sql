drop index idx_game_servers_host;
