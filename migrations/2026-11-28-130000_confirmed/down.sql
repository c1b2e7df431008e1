alter table game_servers drop column confirmed_from, drop column confirmed_until;
