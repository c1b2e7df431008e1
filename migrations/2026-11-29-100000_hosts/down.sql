drop table hosts;
