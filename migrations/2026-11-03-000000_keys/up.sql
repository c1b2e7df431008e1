-- Keys in depth: from where a key may be used, rotation, and a notice of every change.

alter table api_keys
    -- CIDR blocks; none means from anywhere.
    add column allowed_ips text[] not null default '{}',
    -- Keys that came from one another by rotation share one bucket of the limiter: the first one's.
    add column bucket integer,
    add column replaced_by integer references api_keys (id) on delete set null;
create index idx_api_keys_replaced_by on api_keys (replaced_by) where replaced_by is not null;
create index idx_api_keys_bucket on api_keys (bucket) where bucket is not null;

-- Every process caches keys. Whatever changes one, this program or a person in psql, tells them all at the commit. The
-- last use is not among the columns: it changes all the time, and allows and forbids nothing.
create function agis_notify_key() returns trigger language plpgsql as $$
begin
    perform pg_notify('agis_keys', old.id::text);
    return null;
end
$$;
create trigger trigger_api_keys_changed
    after delete or update of id, key_hash, discord_id, name, scopes, rate_limit, created_at, expires_at, allowed_ips,
        bucket, replaced_by
    on api_keys for each row execute function agis_notify_key();
