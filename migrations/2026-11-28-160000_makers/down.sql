-- Lost: which keys came of which. Each has a limit of its own after this.
drop trigger trigger_api_keys_makers_changed on api_keys;
drop trigger trigger_api_keys_limit on api_keys;
drop function agis_limit_makers();
alter table api_keys
    drop column maker_limits,
    drop column maker_buckets;
