alter table game_servers drop column ports;
