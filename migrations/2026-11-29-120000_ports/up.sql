-- Every port of a server with its name and protocol, the one for players first. Null: the server has not run since its host
-- reports them, or an earlier version started it.
alter table game_servers add column ports jsonb;
