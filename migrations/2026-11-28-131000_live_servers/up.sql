-- For those who count servers, and who look at all of a host: deleted ones are kept for long.
create index concurrently if not exists idx_game_servers_live on game_servers (host, status) where deleted_at is null;
