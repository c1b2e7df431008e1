alter table game_servers reset (fillfactor);

drop index idx_schedule_runs_finished;
create index idx_schedule_runs_finished on schedule_runs (finished_at);
drop index idx_operations_finished;
create index idx_operations_finished on operations (finished_at);

drop index idx_operations_keys;
update operations o set idempotency_key =
    'firing:' || r.schedule_id || '/' || (extract(epoch from r.slot) * 1000000)::bigint
from schedule_runs r where r.operation_id = o.id and r.state = 'pending';
create index idx_operations_keys on operations (created_at) where idempotency_key is not null and origin <> 'schedule';

alter table schedule_runs drop constraint schedule_runs_operation;
update schedule_runs r set operation_id = null
where not exists (select from operations o where o.id = r.operation_id);
alter table schedule_runs
    add constraint schedule_runs_operation_id_fkey foreign key (operation_id) references operations (id) on delete set null;
create index idx_schedule_runs_operation on schedule_runs (operation_id) where operation_id is not null;
