-- Lost: from where keys may be used, what replaced them, and what limits they share. A key that was narrowed to some
-- addresses would be good from everywhere, and the older schema cannot say otherwise: it ends here.
update api_keys set expires_at = least(expires_at, now()) where allowed_ips <> '{}';
drop trigger trigger_api_keys_changed on api_keys;
drop function agis_notify_key();
alter table api_keys
    drop column allowed_ips,
    drop column bucket,
    drop column replaced_by;
