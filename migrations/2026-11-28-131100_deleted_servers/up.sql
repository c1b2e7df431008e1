-- For who forgets them, the oldest first.
create index concurrently if not exists idx_game_servers_deleted on game_servers (deleted_at) where deleted_at is not null;
