alter table operations validate constraint operations_origin_check;
alter table notices
    validate constraint notices_kind,
    validate constraint notices_about;
