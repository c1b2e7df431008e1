drop trigger trigger_game_servers_launch_settings on game_servers;
drop function agis_note_launch_settings();
alter table game_servers drop column settings, drop column launch_settings;
