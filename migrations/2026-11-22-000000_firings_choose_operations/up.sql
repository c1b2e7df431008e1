-- A firing chooses the operation that it becomes, when it is claimed. So the row is written once and not again when the
-- operation is there, which has the firing's word on its id and needs no key of its own.
drop index idx_schedule_runs_operation;
alter table schedule_runs drop constraint schedule_runs_operation_id_fkey;

-- Those that are on their way: a firing may have become an operation that was not noted yet.
update schedule_runs r set operation_id = coalesce(
    (select o.id from operations o where o.idempotency_key =
        'firing:' || r.schedule_id || '/' || (extract(epoch from r.slot) * 1000000)::bigint),
    gen_random_uuid())
where r.state = 'pending' and r.operation_id is null;
alter table schedule_runs add constraint schedule_runs_operation check (state <> 'pending' or operation_id is not null);

update operations set idempotency_key = null where origin = 'schedule';
drop index idx_operations_keys;
create index idx_operations_keys on operations (created_at) where idempotency_key is not null;

-- What has not ended is not looked for by its end.
drop index idx_operations_finished;
create index idx_operations_finished on operations (finished_at) where finished_at is not null;
drop index idx_schedule_runs_finished;
create index idx_schedule_runs_finished on schedule_runs (finished_at) where finished_at is not null;

-- Room for a second version of a row in its page: what is wanted of a server changes often and is in no index.
alter table game_servers set (fillfactor = 85);
