-- What was not told is not told.
drop table notices;
alter table operations drop column channel_id;
