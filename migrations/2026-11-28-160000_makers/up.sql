-- On whose buckets of the limiter a key draws beside its own: those of the keys that it came of, the nearest first, with how
-- many requests per hour each of them has. They stand here, so that they outlive the keys. Empty: a person made the key, or
-- a program that did not note it.
alter table api_keys
    add column maker_buckets integer[] not null default '{}',
    add column maker_limits integer[] not null default '{}',
    add constraint api_keys_makers check (cardinality(maker_buckets) = cardinality(maker_limits)) not valid;

-- A changed limit of a key changes what the keys that came of it list, whoever changed it. A key that was replaced
-- says nothing any more of its bucket, and one that takes from its maker's never did.
create function agis_limit_makers() returns trigger language plpgsql as $$
begin
    update api_keys
    set maker_limits[array_position(maker_buckets, coalesce(new.bucket, new.id))] = new.rate_limit
    where discord_id = new.discord_id and coalesce(new.bucket, new.id) = any (maker_buckets);
    return null;
end
$$;
create trigger trigger_api_keys_limit
    after update of rate_limit on api_keys for each row
    when (
        new.rate_limit <> old.rate_limit and new.replaced_by is null
        and not coalesce(new.bucket, new.id) = any (new.maker_buckets)
    )
    execute function agis_limit_makers();

-- As of the other columns that allow or forbid something.
create trigger trigger_api_keys_makers_changed
    after update of maker_buckets, maker_limits on api_keys for each row execute function agis_notify_key();
