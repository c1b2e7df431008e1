-- For who forgets ended keys, the oldest first.
create index concurrently if not exists idx_api_keys_expires_at on api_keys (expires_at) where expires_at is not null;
