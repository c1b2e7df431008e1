-- For the supervisor, which waits for the next restart of its host.
create index concurrently if not exists idx_game_servers_restart_at on game_servers (host, restart_at) where restart_at is not null;
