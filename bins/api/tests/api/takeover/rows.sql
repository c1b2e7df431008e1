-- What such a database holds after some years: nulls where they may be, and what nobody checked.
INSERT INTO users (discord_id, credits, tier, last_daily, last_work, servers_used, join_date, wtg_coins, subscription_expires) VALUES
    ('200000000000000001', 1234, 'pro', '2026-10-01 10:00:00', '2026-10-01 09:30:00.123456', 11, '2024-03-10 02:30:00', 7, '2027-01-01'),
    ('200000000000000002', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('200000000000000003', -5, 'free', NULL, NULL, 0, '2025-01-01', 0, NULL);

-- Every status that was met, one that was not, and none; a name three times, one of 100 characters, one that would be
-- refused here.
INSERT INTO game_servers (discord_id, name, game_type, status, address, port, created_at, cost_per_hour, is_public,
    description, kubernetes_uid, agones_status, last_status_sync, stopped_at, last_heartbeat, error_message, cleanup_at, updated_at) VALUES
    ('200000000000000001', 'lobby', 'minecraft', 'pending', NULL, NULL, '2024-03-10 02:30:00', 30, FALSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2024-03-10 02:30:00'),
    ('200000000000000001', 'lobby', 'minecraft', 'requested', NULL, NULL, '2025-01-01', 30, FALSE, NULL, NULL, 'Scheduled', NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000001', 'Lobby', 'terraria', 'creating', NULL, NULL, '2025-01-01', 35, FALSE, '', 'uid-3', 'Creating', NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000001', repeat('n', 100), 'valheim', 'starting', '10.0.0.4', 7004, '2025-01-01', 120, FALSE, repeat('d', 5000), 'uid-4', 'RequestReady', NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000001', E'two\nlines', 'rust', 'ready', '10.0.0.5', 7005, '2025-01-01', 220, TRUE, 'open to all', 'uid-5', 'Ready', '2026-10-01 10:00:00', NULL, '2026-10-01 10:00:30', NULL, NULL, '2026-10-01'),
    ('200000000000000001', ' ', 'ark', 'running', '10.0.0.6', 7006, '2025-01-01', 240, FALSE, NULL, 'uid-6', 'Allocated', NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000001', 'seven', 'gmod', 'stopping', '10.0.0.7', 70000, '2025-01-01', 95, FALSE, NULL, 'uid-7', 'Shutdown', NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000001', 'eight', 'cs2', 'stopped', NULL, NULL, '2025-01-01', 120, FALSE, NULL, NULL, NULL, NULL, '2025-02-01', NULL, NULL, '2025-02-08', '2025-01-01'),
    ('200000000000000001', 'nine', 'no-such-game', 'error', NULL, NULL, '2025-01-01', -1, FALSE, NULL, NULL, 'Error', NULL, NULL, NULL, 'pod evicted', NULL, '2025-01-01'),
    ('200000000000000001', 'ten', 'dst', 'terminated', NULL, NULL, '2025-01-01', 60, FALSE, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    ('200000000000000002', 'eleven', 'factorio', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO server_schedules (server_id, discord_id, action, cron_expression, timezone, enabled, last_run, next_run, created_at, updated_at) VALUES
    (5, '200000000000000001', 'restart', '0 4 * * *', 'America/New_York', TRUE, '2026-10-31 08:00:00', '2026-11-01 08:00:00', '2025-01-01', '2025-01-01'),
    (6, '200000000000000001', 'stop', '*/5 * * * *', '', TRUE, NULL, NULL, '2025-01-01', '2025-01-01'),
    (6, '200000000000000001', 'start', '30 7 * * 1-5', NULL, NULL, NULL, '2026-11-01 07:30:00', NULL, NULL),
    (8, '200000000000000001', 'start', '0 9 * * 0', 'europe/berlin', TRUE, NULL, '2026-11-01 09:00:00', '2025-01-01', '2025-01-01'),
    (8, '200000000000000001', 'stop', '0 0 1 1 *', 'UTC', FALSE, NULL, '2026-01-01 00:00:00', '2025-01-01', '2025-01-01'),
    (8, '200000000000000001', 'stop', 'every day', 'UTC', TRUE, NULL, '2026-11-01 00:00:00', '2025-01-01', '2025-01-01'),
    (8, '200000000000000001', 'stop', '@every 1h', 'UTC', TRUE, NULL, '2026-11-01 00:00:00', '2025-01-01', '2025-01-01'),
    (8, '200000000000000001', 'stop', '0 0 31 2 *', 'UTC', TRUE, NULL, NULL, '2025-01-01', '2025-01-01'),
    (8, '200000000000000001', 'stop', '0 4 * * *', 'Mars/Base', TRUE, NULL, '2026-11-01 00:00:00', '2025-01-01', '2025-01-01'),
    -- Another's server: nobody looked.
    (5, '200000000000000002', 'stop', '0 4 * * *', 'UTC', TRUE, NULL, '2026-11-01 04:00:00', '2025-01-01', '2025-01-01');

INSERT INTO api_keys (key_hash, discord_id, name, scopes, rate_limit, last_used, created_at, expires_at)
SELECT encode(sha256(convert_to('agis_' || left(translate(encode(sha256(convert_to(word, 'UTF8')), 'base64'), '+/', '-_'), 44), 'UTF8')), 'hex'),
       '200000000000000001', word, scopes, rate_limit, last_used, created_at, expires_at
FROM (VALUES
    ('none', NULL::TEXT[], NULL::INTEGER, NULL::TIMESTAMP, NULL::TIMESTAMP, NULL::TIMESTAMP),
    ('empty', '{}', 100, '2026-10-01 10:00:00', '2025-01-01', NULL),
    ('read', '{read}', 100, NULL, '2025-01-01', '2030-01-01'),
    ('write', '{read,write}', 5000, NULL, '2025-01-01', NULL),
    ('admin', '{admin,"servers:write"}', 100, NULL, '2025-01-01', NULL),
    ('ended', '{read}', 0, NULL, '2025-01-01', (now() - interval '1 day')::timestamp)
) AS k(word, scopes, rate_limit, last_used, created_at, expires_at);

INSERT INTO user_stats VALUES
    ('200000000000000001', 12, 345, 6000, 4766, 3, 2, '2026-10-31 23:59:59', '2026-10-31 23:59:59'),
    ('200000000000000002', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public_servers (server_id, title) VALUES (5, 'come in'), (8, 'closed');
INSERT INTO bot_roles VALUES ('200000000000000001', 'admin');
INSERT INTO credit_transactions (from_user, to_user, amount, description) VALUES (NULL, '200000000000000001', 100, 'daily');
INSERT INTO game_pricing VALUES ('minecraft', 30, '2025-01-01'), ('rust', 220, NULL);
