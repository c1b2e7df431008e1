-- Token buckets by GCRA, as in agis-ratelimit's quota.rs and joint.rs, on Redis' own clock. So many tokens of each, or none of any.
--
-- KEYS: the buckets.
-- ARGV: 'take' or 'peek', then for each bucket: nanoseconds of the tokens to take, nanoseconds until it is full when empty.
-- Answers with the nanoseconds until each bucket was full before this call; the caller knows all else from that.
--
-- What is kept is the instant at which the bucket is full, as microseconds and the nanoseconds beyond: a number is a
-- double here, and nanoseconds since 1970 are more than it can tell apart.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]

local kept, debts, allowed = {}, {}, true
for i, bucket in ipairs(KEYS) do
  local cost, capacity = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local us, ns = string.match(redis.call('GET', bucket) or '', '^(%d+) (%d+)$')
  kept[i] = us and (us - now) * 1000 + ns or 0
  -- Also after the clock was set back nobody waits for longer than one whole bucket.
  debts[i] = math.min(math.max(kept[i], 0), capacity)
  allowed = allowed and debts[i] + cost <= capacity
end

for i, bucket in ipairs(KEYS) do
  local after = debts[i]
  if allowed then
    after = after + tonumber(ARGV[2 * i])
  end
  -- A bucket that is not known is full.
  if ARGV[1] == 'take' and after > 0 and after ~= kept[i] then
    local full = string.format('%.0f %.0f', now + math.floor(after / 1000), after % 1000)
    redis.call('SET', bucket, full, 'PX', math.ceil(after / 1000000))
  end
end
return debts
