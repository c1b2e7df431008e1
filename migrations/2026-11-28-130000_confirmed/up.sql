-- From when until when a server's host has confirmed that it runs, in this run of it, while hours are charged. Nothing that
-- is not confirmed is charged.
alter table game_servers
    add column confirmed_from timestamptz,
    add column confirmed_until timestamptz;
