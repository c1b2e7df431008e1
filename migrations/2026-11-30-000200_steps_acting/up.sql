-- A look for runs asks for steps whose operation has ended, beside a history of many.
create index concurrently if not exists idx_schedule_run_steps_acting on schedule_run_steps (operation_id)
    where state = 'running' and step -> 'deed' ? 'power';
