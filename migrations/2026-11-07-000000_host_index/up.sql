-- A claim of operations begins at the servers of its hosts. Without this it looked at every open operation of every
-- host, and, while the table had no statistics, at every server for each.
create index idx_game_servers_host on game_servers (host);
