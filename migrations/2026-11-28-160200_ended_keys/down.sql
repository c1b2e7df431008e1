drop index concurrently if exists idx_api_keys_expires_at;
