-- A token bucket by GCRA, as in agis-ratelimit's quota.rs, on Redis' own clock.
--
-- KEYS[1]: the bucket.
-- ARGV: nanoseconds between two tokens, nanoseconds until an empty bucket is full, 'take' or 'peek'.
-- Answers with the nanoseconds until the bucket was full before this call; the caller knows all else from that.
--
-- What is kept is the instant at which the bucket is full, as microseconds and the nanoseconds beyond: a number is a
-- double here, and nanoseconds since 1970 are more than it can tell apart.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])

local us, ns = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+)$')
local kept = us and (us - now) * 1000 + ns or 0
-- Also after the clock was set back nobody waits for longer than one whole bucket.
local debt = math.min(math.max(kept, 0), capacity)
local after = debt
if debt + interval <= capacity then
  after = debt + interval
end
if ARGV[3] == 'take' and after ~= kept then
  local full = string.format('%.0f %.0f', now + math.floor(after / 1000), after % 1000)
  -- A bucket that is not known is full.
  redis.call('SET', KEYS[1], full, 'PX', math.ceil(after / 1000000))
end
return debt
