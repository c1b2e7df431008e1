drop table server_commands;
create or replace function agis_note_launch_settings() returns trigger language plpgsql as $$
begin
    new.launch_settings = new.settings;
    return new;
end
$$;
alter table game_servers drop column rcon_password;
