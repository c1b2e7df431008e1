drop table server_holds;
