-- Labels of servers: words by which an owner puts servers together. An earlier version neither reads nor writes them.
create table server_labels (
    server_id integer not null references game_servers (id) on delete cascade,
    label varchar(100) not null,
    primary key (server_id, label)
);
