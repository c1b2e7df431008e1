alter table game_servers drop column name_shape;
