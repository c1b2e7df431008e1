-- A hold keeps schedules and the supervisor away from a server: one row for each server that is held, or was until its time
-- came. An earlier version neither reads nor writes it.
create table server_holds (
    server_id integer primary key references game_servers (id) on delete cascade,
    since timestamptz not null,
    -- Null: only a release ends it.
    until timestamptz,
    reason text,
    held_by varchar(32) not null,
    constraint server_holds_reason check (char_length(reason) <= 1000)
);
