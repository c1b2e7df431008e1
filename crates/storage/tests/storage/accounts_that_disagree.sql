-- Counts the accounts whose balance is not what their lines add up to, or not what the last of them says.
select count(*) from users u where u.credits <>
     (select coalesce(sum(amount), 0) from credit_ledger l where l.discord_id = u.discord_id)
   or u.credits <> coalesce((select balance from credit_ledger l where l.discord_id = u.discord_id
                             order by id desc limit 1), 0)
