-- What moved on whose account. A line is written in the transaction that moves users.credits, and never changed.
create table credit_ledger (
    id bigint generated always as identity primary key,
    discord_id varchar(32) not null references users (discord_id),
    amount integer not null,
    -- Of the account, after this.
    balance integer not null,
    kind text not null,
    -- What an hour of which server cost. No reference: what was paid for a server is not forgotten with it.
    server_id integer,
    game_type text,
    hour timestamptz,
    reason text,
    created_at timestamptz not null default clock_timestamp(),
    constraint credit_ledger_kind check (kind in ('opening', 'welcome', 'grant', 'charge')),
    constraint credit_ledger_amount check (amount <> 0 and (kind = 'charge') = (amount < 0)),
    constraint credit_ledger_balance check (balance >= 0),
    constraint credit_ledger_hour check
        ((kind = 'charge') = (server_id is not null) and (server_id is null) = (game_type is null)
         and (server_id is null) = (hour is null)),
    constraint credit_ledger_reason check (char_length(reason) <= 200)
);
-- Once for each hour of a server.
create unique index idx_credit_ledger_hours on credit_ledger (server_id, hour) where server_id is not null;
create index idx_credit_ledger_accounts on credit_ledger (discord_id, id);

create function credit_ledger_stays() returns trigger language plpgsql as $$
begin
    raise exception 'credit_ledger is only written to, never changed';
end $$;
create trigger credit_ledger_stays before update or delete or truncate on credit_ledger
    for each statement execute function credit_ledger_stays();

-- What everybody had before there was a ledger.
insert into credit_ledger (discord_id, amount, balance, kind)
    select discord_id, credits, credits, 'opening' from users where credits > 0;

alter table game_servers
    -- The end of the hour that was paid last.
    add column paid_until timestamptz,
    -- When the owner was told that they cannot pay the next.
    add column warned_at timestamptz;
create index idx_game_servers_due on game_servers (paid_until nulls first)
    where status = 'running' and cost_per_hour > 0 and host is not null and deleted_at is null;

alter table notices drop constraint notices_kind, drop constraint notices_about;
alter table notices
    add constraint notices_kind check
        (kind in ('operation_failed', 'operation_expired', 'server_crashed', 'credits_low', 'credits_out')),
    add constraint notices_about check
        ((kind in ('server_crashed', 'credits_out')) = (generation is not null)
         and (kind like 'operation\_%') = (operation_id is not null));
drop index idx_notices_crash;
create unique index idx_notices_generation on notices (server_id, generation, kind) where generation is not null;
