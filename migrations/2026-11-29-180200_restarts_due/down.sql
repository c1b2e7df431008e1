drop index concurrently if exists idx_game_servers_restart_at;
