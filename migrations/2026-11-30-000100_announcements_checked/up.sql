alter table notices validate constraint notices_kind, validate constraint notices_announced;
