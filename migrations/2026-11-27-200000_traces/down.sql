alter table operations drop column request_id, drop column trace_id;
