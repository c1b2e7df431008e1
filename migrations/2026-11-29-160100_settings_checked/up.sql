alter table game_servers validate constraint game_servers_settings;
