-- By what an operation is found in the log: the id of the request that asked for it, and the trace that this was a part of.
alter table operations
    add column request_id text,
    add column trace_id text,
    add constraint operations_request check (char_length(request_id) between 1 and 128),
    add constraint operations_trace check (trace_id ~ '^[0-9a-f]{32}$');
