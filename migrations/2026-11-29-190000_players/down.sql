drop table server_players;
