-- No command waits for its process in this table: requests between processes are in console_requests.
drop index concurrently if exists idx_server_commands_queued;
