alter table deferrals drop column batch_id;
drop table server_batch_items;
drop table server_batches;
