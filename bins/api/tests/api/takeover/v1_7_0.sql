-- The schema as the Go version made it, in its own words, with tables that AGIS here does not know.
CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, dirty BOOLEAN NOT NULL);
INSERT INTO schema_migrations VALUES (17, FALSE);

CREATE TABLE users (
    discord_id VARCHAR(32) PRIMARY KEY,
    credits INTEGER DEFAULT 100,
    tier VARCHAR(20) DEFAULT 'free',
    last_daily TIMESTAMP,
    last_work TIMESTAMP,
    servers_used INTEGER DEFAULT 0,
    join_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    wtg_coins INTEGER DEFAULT 0,
    subscription_expires TIMESTAMP
);
CREATE INDEX idx_users_tier ON users(tier);
CREATE INDEX idx_users_credits ON users(credits DESC);
CREATE INDEX idx_users_servers_used ON users(servers_used DESC);

CREATE TABLE game_servers (
    id SERIAL PRIMARY KEY,
    discord_id VARCHAR(32) REFERENCES users(discord_id),
    name VARCHAR(100) NOT NULL,
    game_type VARCHAR(50) NOT NULL,
    status VARCHAR(20) DEFAULT 'creating',
    address VARCHAR(255),
    port INTEGER,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    cost_per_hour INTEGER,
    is_public BOOLEAN DEFAULT FALSE,
    description TEXT,
    kubernetes_uid VARCHAR(255),
    agones_status VARCHAR(50),
    last_status_sync TIMESTAMP,
    stopped_at TIMESTAMP,
    last_heartbeat TIMESTAMP,
    error_message TEXT,
    cleanup_at TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE TABLE server_schedules (
    id SERIAL PRIMARY KEY,
    server_id INTEGER NOT NULL REFERENCES game_servers(id) ON DELETE CASCADE,
    discord_id VARCHAR(32) NOT NULL REFERENCES users(discord_id),
    action VARCHAR(20) NOT NULL CHECK (action IN ('start', 'stop', 'restart')),
    cron_expression VARCHAR(100) NOT NULL,
    timezone VARCHAR(50) DEFAULT 'UTC',
    enabled BOOLEAN DEFAULT TRUE,
    last_run TIMESTAMP,
    next_run TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX idx_schedules_next_run ON server_schedules(next_run) WHERE enabled = TRUE;
CREATE INDEX idx_schedules_discord_id ON server_schedules(discord_id);
CREATE INDEX idx_schedules_server_id ON server_schedules(server_id);

CREATE TABLE api_keys (
    id SERIAL PRIMARY KEY,
    key_hash VARCHAR(128) UNIQUE NOT NULL,
    discord_id VARCHAR(32) NOT NULL REFERENCES users(discord_id),
    name VARCHAR(100) NOT NULL,
    scopes TEXT[],
    rate_limit INTEGER DEFAULT 100,
    last_used TIMESTAMP,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    expires_at TIMESTAMP
);
CREATE INDEX idx_api_keys_hash ON api_keys(key_hash);
CREATE INDEX idx_api_keys_discord_id ON api_keys(discord_id);

CREATE TABLE user_stats (
    discord_id VARCHAR(32) PRIMARY KEY REFERENCES users(discord_id),
    total_servers_created INTEGER DEFAULT 0,
    total_commands_used INTEGER DEFAULT 0,
    total_credits_earned INTEGER DEFAULT 0,
    total_credits_spent INTEGER DEFAULT 0,
    total_ad_conversions INTEGER DEFAULT 0,
    total_wtg_purchased INTEGER DEFAULT 0,
    last_command_at TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE OR REPLACE FUNCTION update_user_stats_updated_at() RETURNS TRIGGER AS $$
BEGIN
    NEW.updated_at = CURRENT_TIMESTAMP;
    RETURN NEW;
END;
$$ LANGUAGE plpgsql;
CREATE TRIGGER trigger_user_stats_updated_at BEFORE UPDATE ON user_stats
    FOR EACH ROW EXECUTE FUNCTION update_user_stats_updated_at();

CREATE TABLE public_servers (
    id SERIAL PRIMARY KEY,
    server_id INTEGER REFERENCES game_servers(id),
    title VARCHAR(100),
    listed_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE bot_roles (discord_id VARCHAR(32) PRIMARY KEY REFERENCES users(discord_id), role VARCHAR(20) NOT NULL);
CREATE TABLE credit_transactions (
    id SERIAL PRIMARY KEY,
    from_user VARCHAR(32),
    to_user VARCHAR(32) REFERENCES users(discord_id),
    amount INTEGER NOT NULL,
    description TEXT,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE game_pricing (game_type VARCHAR(50) PRIMARY KEY, cost_per_hour INTEGER NOT NULL, updated_at TIMESTAMP);
