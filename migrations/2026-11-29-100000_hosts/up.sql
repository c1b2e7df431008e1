-- Hosts as the processes report them that serve them, again and again. A host whose last report is old is served by nobody.
create table hosts (
    name text primary key,
    kind text not null,
    -- Id of the data directory that has the servers. A process with another one does not serve the host.
    directory uuid,
    report jsonb not null,
    seen_at timestamptz not null default now()
);
