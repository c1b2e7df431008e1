-- Something in every table, as it is in the middle of a working day; whatever was there goes first.
-- The ledger refuses it otherwise.
set session_replication_role = replica;
truncate users, idempotency_keys, member_roles, unavailable_games, deferrals, hosts, console_requests, server_batches
    cascade;
set session_replication_role = origin;
insert into users (discord_id) values ('1'), ('2');
insert into user_stats (discord_id, total_commands_used) values ('1', 5);
insert into game_servers (id, discord_id, name, game_type, host, status, desired, generation, deleted_at) values
    (7, '1', 'sky', 'demo', 'here', 'running', 'running', 3, null),
    (8, '1', 'sea', 'demo', 'here', 'deleting', 'deleted', 2, now());
update game_servers set name_shape = name, ports = '[{"name": "game", "port": 27500, "protocol": "tcp"}]';
update game_servers set confirmed_from = now(), confirmed_until = now() where id = 7;
insert into server_schedules (id, server_id, discord_id, action, cron_expression, next_run) values
    (1, 7, '1', 'restart', '0 5 * * *', now() + interval '1 hour');
insert into operations (id, server_id, action, state, origin, actor, idempotency_key, generation, attempt, lease_until,
                        finished_at, channel_id) values
    ('0199d3a0-0000-7000-8000-000000000001', 7, 'start', 'succeeded', 'discord', '1', 'interaction', 2, 1, null, now(), '9'),
    ('0199d3a0-0000-7000-8000-000000000002', 7, 'restart', 'running', 'schedule', '1', null, 3, 1, now(), null, null),
    ('0199d3a0-0000-7000-8000-000000000003', 7, 'stop', 'queued', 'rest', '1', 'header', 3, 0, null, null, null);
update operations set request_id = 'request', trace_id = repeat('7', 32), killed_after_grace = true,
                      progress = 'pulling image: 120 of 480 MB', image = 'docker.io/x/y@sha256:7';
insert into unavailable_games (host, game_type, reason) values ('here', 'demo', 'it was not found');
insert into schedule_runs (schedule_id, slot, action, state, finished_at, operation_id) values
    (1, '2026-11-01 05:00Z', 'restart', 'succeeded', now(), '0199d3a0-0000-7000-8000-000000000009'),
    (1, '2026-11-02 05:00Z', 'restart', 'pending', null, '0199d3a0-0000-7000-8000-000000000002'),
    (1, '2026-11-03 05:00Z', 'restart', 'pending', null, '0199d3a0-0000-7000-8000-000000000010');
insert into api_keys (id, key_hash, discord_id, name, scopes, allowed_ips, bucket, replaced_by) values
    (1, 'new', '1', 'laptop', '{*}', '{}', 2, null),
    (2, 'old', '1', 'laptop', '{*}', '{}', null, 1),
    (3, 'narrow', '1', 'office', '{*}', '{192.0.2.0/24}', null, null);
update api_keys set maker_buckets = '{2}', maker_limits = '{100}' where id = 3;
insert into idempotency_keys (key, discord_id, fingerprint, attempt, lease_until, status, body) values
    ('answered', '1', '\x00', gen_random_uuid(), null, 201, '\x7b7d'),
    ('in flight', '1', '\x01', gen_random_uuid(), now(), null, null);
insert into server_shares (server_id, kind, grantee_id, guild_id, permissions, granted_by) values
    (7, 'member', '2', null, '{read,start}', '1'), (7, 'role', '20', '10', '{read}', '1');
insert into member_roles (discord_id, guild_id, roles) values ('2', '10', '{20}');
insert into server_leavers (server_id, discord_id) values (7, '2');
insert into deferrals (key, discord_id, token, seal, place, operation_id, process, lease_until) values
    ('discord:7', '1', '\x00', '\x01', 'message', '0199d3a0-0000-7000-8000-000000000002', gen_random_uuid(), now());
insert into notices (recipient, kind, server_id, server_name, action, reason, operation_id, generation) values
    ('1', 'operation_failed', 7, 'sky', 'start', 'no port is free', '0199d3a0-0000-7000-8000-000000000001', null),
    ('1', 'server_crashed', 8, 'sea', null, 'exit status 1', null, 2);
insert into credit_ledger (discord_id, amount, balance, kind, server_id, game_type, hour) values
    ('1', 130, 130, 'welcome', null, null, null), ('1', -30, 100, 'charge', 7, 'demo', now());
insert into credit_ledger (discord_id, amount, balance, kind, reason, command_id) values
    ('1', 20, 120, 'grant', 'a prize', 'prize 1'), ('1', -20, 100, 'correction', 'not them', 'prize 1, back');
insert into hosts (name, kind, directory, report) values ('here', 'process', gen_random_uuid(), '{}');
update game_servers set settings = '{"difficulty": "hard"}', restart_policy = '{"on": "always"}', restarts = array[now()],
                        restart_max = 5, restart_generation = 1, restart_at = now() where id = 7;
insert into server_labels (server_id, label) values (7, 'friday');
insert into server_batches (id, discord_id, label, action, origin) values (1, '1', 'friday', 'restart', 'rest');
insert into server_batch_items (batch_id, server_id, server_name, place) values (1, 7, 's', 0);
insert into server_holds (server_id, since, reason, held_by) values (7, now(), 'a map', '1');
insert into console_requests (id, host, server_id, request) values (gen_random_uuid(), 'here', 7, '{}');
insert into server_players (server_id, claimed_at, generation, online, max_players, names, measured_at, empty_since, empty_until)
values (7, now(), 1, 1, 16, '["Ann"]', now(), now(), now());
insert into server_idle (server_id, rule, saved_credits) values (7, '{"stop_after": "30m", "wake_on_join": {}}', 30);
update game_servers set rcon_password = 'pw', run_settings = '{"generation": 1, "values": {}}' where id = 7;
insert into server_shares (server_id, kind, grantee_id, permissions, commands, granted_by) values
    (7, 'member', '3', '{read,console}', '{say}', '1');
insert into server_commands (id, server_id, actor, origin, command, wants_reply, outcome) values
    (gen_random_uuid(), 7, '1', 'rest', 'status', true, 'answered');
insert into server_schedules (id, server_id, discord_id, action, at, work, timezone, enabled, next_run, zone_version) values
    (17, 7, '1', 'steps', now(), '{"steps": []}', 'UTC', false, null, '2026a');
insert into schedule_runs (schedule_id, slot, action, state, operation_id, begun_at, look_at) values
    (17, '2026-11-01', 'steps', 'pending', gen_random_uuid(), now(), now());
insert into schedule_run_steps (schedule_id, slot, place, step, operation_id, postponed_s) values
    (17, '2026-11-01', 0, '{}', gen_random_uuid(), 900);
insert into server_announcements (server_id, channel_id) values (7, '5');
insert into notices (recipient, channel_id, kind, server_id, server_name, action, reason, schedule_id, slot, due_at) values
    ('1', '5', 'power_announced', 7, 'sky', 'restart', '', 17, '2026-11-01', now()),
    ('1', '5', 'power_called_off', 7, 'sky', 'restart', '', 17, '2026-11-01', null),
    ('1', '5', 'actions_ended', 7, 'sky', 'restart of the servers with the label friday', 'Done on 1 of 1 servers.', null, null, null);
insert into server_schedules (id, label, discord_id, action, work, cron_expression, enabled) values
    (18, 'friday', '1', 'servers', '{"steps": []}', '0 4 * * *', false);
insert into schedule_runs (schedule_id, slot, of_slot, server_id, action, state, operation_id) values
    (18, '2026-11-01', null, null, 'servers', 'pending', gen_random_uuid()),
    (18, '2026-11-01 00:00:00.000001', '2026-11-01', 7, 'steps', 'pending', gen_random_uuid());
