-- Answers that somebody was promised in Discord, until they are given. Their tokens are sealed.
create table deferrals (
    -- The idempotency key of what was asked.
    key text primary key,
    discord_id text not null,
    token bytea not null,
    -- By which seal; no other opens the token.
    seal bytea not null,
    place text not null,
    -- No reference: operations are forgotten on their own.
    operation_id uuid,
    process uuid not null,
    lease_until timestamptz not null,
    created_at timestamptz not null default now(),
    constraint deferrals_place check (place in ('message', 'component'))
);
create index idx_deferrals_lease on deferrals (lease_until);
create index idx_deferrals_age on deferrals (created_at);
