-- Everything goes, the data included.
drop table if exists user_stats;
drop function if exists update_user_stats_updated_at();
drop table if exists api_keys;
drop table if exists server_schedules;
drop table if exists game_servers;
drop table if exists users;
