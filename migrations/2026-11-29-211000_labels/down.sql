drop table server_labels;
