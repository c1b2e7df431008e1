-- Where an operation was asked for, to be answered there.
alter table operations add column channel_id text;

-- What owners have to hear, until they have heard it. A row is written in the transaction of what it tells of.
create table notices (
    id bigint generated always as identity primary key,
    recipient text not null,
    channel_id text,
    kind text not null,
    server_id integer not null references game_servers (id) on delete cascade,
    server_name text not null,
    action text,
    reason text not null,
    -- No reference: operations are forgotten on their own.
    operation_id uuid,
    -- At which a server crashed.
    generation bigint,
    attempts integer not null default 0,
    next_attempt_at timestamptz not null default now(),
    lease_until timestamptz,
    state text not null default 'pending',
    last_error text,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint notices_kind check (kind in ('operation_failed', 'operation_expired', 'server_crashed')),
    constraint notices_about check
        ((kind = 'server_crashed') = (generation is not null) and (generation is null) = (operation_id is not null)),
    constraint notices_reason check (char_length(reason) <= 500),
    constraint notices_state check (state in ('pending', 'sent', 'given_up')),
    constraint notices_lease check (state = 'pending' or lease_until is null),
    constraint notices_finished check ((state = 'pending') = (finished_at is null))
);
-- Never twice.
create unique index idx_notices_operation on notices (operation_id) where operation_id is not null;
create unique index idx_notices_crash on notices (server_id, generation) where generation is not null;
create index idx_notices_due on notices (next_attempt_at) where state = 'pending';
create index idx_notices_recipient on notices (recipient, id) where state = 'pending';
create index idx_notices_finished on notices (finished_at) where finished_at is not null;
