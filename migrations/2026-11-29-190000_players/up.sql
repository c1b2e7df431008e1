-- Players on running servers: one row for each server that was ever asked, so the table grows with the servers alone. An
-- earlier version neither reads nor writes it.
create table server_players (
    server_id integer primary key references game_servers (id) on delete cascade,
    -- Time of the last claim. The process that has it asks the game once; a later claim makes its answer void.
    claimed_at timestamptz not null,
    -- Generation of the run that answered last, and the answer.
    generation bigint,
    online integer,
    max_players integer,
    names jsonb,
    measured_at timestamptz,
    constraint server_players_counts check (online >= 0 and max_players >= 0)
);
