alter table game_servers drop column run_settings;
