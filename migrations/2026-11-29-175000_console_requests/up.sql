-- Requests to consoles of hosts that the asking process does not reach, and their answers. A request lives for seconds, so
-- a crash of the database may lose it.
create unlogged table console_requests (
    id uuid primary key,
    host text not null,
    server_id integer not null,
    request jsonb not null,
    asked_at timestamptz not null default clock_timestamp(),
    -- A process that serves the host has begun. No other begins it again.
    taken_at timestamptz,
    answer jsonb
);
