-- What is asked again after this is done again.
drop table idempotency_keys;
