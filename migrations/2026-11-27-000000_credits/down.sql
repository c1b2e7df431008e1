-- Balances stay as they are; how they came to be is lost.
drop table credit_ledger;
drop function credit_ledger_stays();

drop index idx_game_servers_due;
alter table game_servers drop column paid_until, drop column warned_at;

delete from notices where kind like 'credits\_%';
drop index idx_notices_generation;
create unique index idx_notices_crash on notices (server_id, generation) where generation is not null;
alter table notices drop constraint notices_kind, drop constraint notices_about;
alter table notices
    add constraint notices_kind check (kind in ('operation_failed', 'operation_expired', 'server_crashed')),
    add constraint notices_about check
        ((kind = 'server_crashed') = (generation is not null) and (generation is null) = (operation_id is not null));
