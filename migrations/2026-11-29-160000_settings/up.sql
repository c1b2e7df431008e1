-- Values of a server's settings by their names, as people chose them. Names that the catalogue does not have stay: a
-- catalogue may change back. Secrets are in clear, since the games need them in clear.
-- launch_settings: the same at the last change of the generation. Every attempt at a start uses these, so a start that
-- another worker continues has the same values.
alter table game_servers
    add column settings jsonb not null default '{}',
    add column launch_settings jsonb not null default '{}',
    add constraint game_servers_settings
        check (jsonb_typeof(settings) = 'object' and octet_length(settings::text) <= 524288) not valid;

-- Whoever changes the generation, also a program of the version before.
create function agis_note_launch_settings() returns trigger language plpgsql as $$
begin
    new.launch_settings = new.settings;
    return new;
end
$$;
create trigger trigger_game_servers_launch_settings
    before update of generation on game_servers for each row
    when (new.generation <> old.generation)
    execute function agis_note_launch_settings();
