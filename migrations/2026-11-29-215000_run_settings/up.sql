-- Value of every setting that the last start gave to its game, with the defaults of then: {"generation": …, "values": {…}}.
-- Null until a start of this version or a later one. Secrets are in clear, as in `settings`.
alter table game_servers add column run_settings jsonb;
