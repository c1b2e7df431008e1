-- Back to the v1.7.0 schema. What only this program knows (operations, run histories, hosts) is lost; servers, keys,
-- schedules and users stay. Servers that were deleted here go for good: the Go version cannot hide them. Those that came
-- from it are as they were, also where they were deleted here: they were only hidden.

drop table schedule_runs;
drop table operations;

alter table user_stats
    alter column last_command_at type timestamp using last_command_at at time zone 'UTC',
    alter column updated_at type timestamp using updated_at at time zone 'UTC';

alter table api_keys
    drop constraint api_keys_rate_limit,
    alter column scopes drop not null,
    alter column rate_limit drop not null,
    alter column created_at drop not null,
    alter column last_used type timestamp using last_used at time zone 'UTC',
    alter column created_at type timestamp using created_at at time zone 'UTC',
    alter column expires_at type timestamp using expires_at at time zone 'UTC';

alter table server_schedules
    drop constraint server_schedules_actions,
    drop constraint server_schedules_policy,
    drop constraint server_schedules_next_run,
    drop column missed_run_policy,
    drop column disabled_reason,
    alter column timezone drop not null,
    alter column enabled drop not null,
    alter column created_at drop not null,
    alter column updated_at drop not null,
    alter column last_run type timestamp using last_run at time zone 'UTC',
    alter column next_run type timestamp using next_run at time zone 'UTC',
    alter column created_at type timestamp using created_at at time zone 'UTC',
    alter column updated_at type timestamp using updated_at at time zone 'UTC';

delete from game_servers where deleted_at is not null and host is not null;
drop index idx_game_servers_owner;
drop index idx_game_servers_running;
alter table game_servers
    drop constraint game_servers_status,
    drop constraint game_servers_desired,
    drop constraint game_servers_generation,
    drop constraint game_servers_cost,
    drop column desired,
    drop column generation,
    drop column status_generation,
    drop column deleted_at,
    alter column status drop not null,
    alter column created_at drop not null,
    alter column updated_at drop not null,
    alter column cost_per_hour drop not null,
    alter column is_public drop not null,
    alter column created_at type timestamp using created_at at time zone 'UTC',
    alter column last_status_sync type timestamp using last_status_sync at time zone 'UTC',
    alter column stopped_at type timestamp using stopped_at at time zone 'UTC',
    alter column last_heartbeat type timestamp using last_heartbeat at time zone 'UTC',
    alter column cleanup_at type timestamp using cleanup_at at time zone 'UTC',
    alter column updated_at type timestamp using updated_at at time zone 'UTC';
update game_servers set status = case when host is null then former_status else case status
    when 'crashed' then 'error' when 'failed' then 'error' when 'deleting' then 'stopping' else status end end;
alter table game_servers drop column host, drop column former_status;

alter table users
    drop constraint users_credits_not_negative,
    alter column credits drop not null,
    alter column tier drop not null,
    alter column join_date drop not null,
    alter column last_daily type timestamp using last_daily at time zone 'UTC',
    alter column last_work type timestamp using last_work at time zone 'UTC',
    alter column join_date type timestamp using join_date at time zone 'UTC',
    alter column subscription_expires type timestamp using subscription_expires at time zone 'UTC';
