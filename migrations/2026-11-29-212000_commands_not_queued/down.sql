create index concurrently if not exists idx_server_commands_queued on server_commands (created_at) where outcome = 'queued';
