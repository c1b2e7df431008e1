-- The shape of a server's name, to which names that look the same come (`agis_base::name`). Only the program can compute
-- it: rows from before have none, and are compared by their names.
alter table game_servers add column name_shape text;
