-- Games that a host cannot run for now, as the process says that serves it, again and again. A row that is not written again
-- soon counts no more: a host that nobody serves refuses no game.
create table unavailable_games (
    host text not null,
    game_type text not null,
    reason text not null,
    seen_at timestamptz not null default now(),
    primary key (host, game_type)
);
