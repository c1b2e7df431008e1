-- Requests that their callers named by an Idempotency-Key, and their answers, for a day.
create table idempotency_keys (
    -- Whose, for what, and the caller's own name for it.
    key text primary key,
    -- No reference: every request would lock its user's row, and all is forgotten in a day.
    discord_id text not null,
    -- SHA-256 of what two requests of one key must have in common.
    fingerprint bytea not null,
    -- In flight: which attempt, until when by this database's clock.
    attempt uuid not null,
    lease_until timestamptz,
    -- The id of what the request has made, written in the transaction that made it.
    resource integer,
    -- The answer.
    status smallint,
    content_type text,
    location text,
    body bytea check (octet_length(body) <= 65536),
    created_at timestamptz not null default now(),
    constraint idempotency_keys_answered check
        ((status is null) = (lease_until is not null) and (status is null) = (body is null))
);
create index idx_idempotency_keys_user on idempotency_keys (discord_id);
create index idx_idempotency_keys_age on idempotency_keys (created_at);
