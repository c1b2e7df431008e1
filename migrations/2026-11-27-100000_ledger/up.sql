alter table credit_ledger
    -- Under which id an operator's command wrote it: a command that is repeated writes it once.
    add column command_id text,
    add constraint credit_ledger_command check
        (command_id is null or kind in ('grant', 'correction') and char_length(command_id) between 1 and 64),
    drop constraint credit_ledger_kind,
    drop constraint credit_ledger_amount,
    add constraint credit_ledger_kind check (kind in ('opening', 'welcome', 'grant', 'correction', 'charge')),
    add constraint credit_ledger_amount check
        (amount <> 0 and (kind = 'correction' or (kind = 'charge') = (amount < 0)));
create unique index idx_credit_ledger_commands on credit_ledger (command_id) where command_id is not null;
-- What is counted for the dashboards: the last hour, and what was given in all.
create index idx_credit_ledger_times on credit_ledger (created_at);
create index idx_credit_ledger_given on credit_ledger (kind) include (amount) where kind <> 'charge';

-- When a process last said that nothing is charged. What ran before that is not made up for.
create table billing (
    the_only boolean primary key default true check (the_only),
    free_until timestamptz not null default clock_timestamp()
);
insert into billing default values;
