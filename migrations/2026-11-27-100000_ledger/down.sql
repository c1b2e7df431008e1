drop table billing;

-- Lines of corrections stay: balances are made of them.
drop index idx_credit_ledger_given;
drop index idx_credit_ledger_times;
alter table credit_ledger
    drop column command_id,
    drop constraint credit_ledger_kind,
    drop constraint credit_ledger_amount,
    add constraint credit_ledger_kind check (kind in ('opening', 'welcome', 'grant', 'charge')) not valid,
    add constraint credit_ledger_amount check (amount <> 0 and (kind = 'charge') = (amount < 0)) not valid;
