-- Password of the RCON of each server. A server gets it with the first generation that begins from now on, also by a program
-- of the version before; it never changes. It is in clear, since the games need it in clear.
alter table game_servers add column rcon_password text;

create or replace function agis_note_launch_settings() returns trigger language plpgsql as $$
begin
    new.launch_settings = new.settings;
    new.rcon_password = coalesce(new.rcon_password, replace(gen_random_uuid()::text, '-', ''));
    return new;
end
$$;

-- Commands for games, for the process that serves the host, and for those who look back. Nobody sends one again.
create table server_commands (
    id uuid primary key,
    -- No reference: it would lock the servers, and these rows are forgotten before a server is.
    server_id integer not null,
    actor text not null,
    origin text not null,
    command text not null check (char_length(command) <= 1000),
    wants_reply boolean not null,
    outcome text not null,
    -- The beginning of what the game answered.
    reply text check (char_length(reply) <= 4000),
    error text check (char_length(error) <= 2000),
    created_at timestamptz not null default now(),
    finished_at timestamptz
);
create index idx_server_commands_server on server_commands (server_id, id);
create index idx_server_commands_queued on server_commands (created_at) where outcome = 'queued';
create index idx_server_commands_age on server_commands (created_at);
