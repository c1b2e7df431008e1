drop table console_requests;
