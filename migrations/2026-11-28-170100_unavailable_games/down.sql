drop table unavailable_games;
