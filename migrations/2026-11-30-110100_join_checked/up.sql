alter table operations validate constraint operations_origin_check;
