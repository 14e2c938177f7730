-- Pops the places with the smallest order keys for a call, and keeps the rate bucket.
-- Guarantees: ORDER; CAP is checked once more; what was given back is credited once, also when
-- the answer is lost; an outdated leader pops nothing and keeps nothing; one batch is pending at a time, and stays popped until it is published; a store that
-- went back to an earlier state pops nothing.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 absent
-- ARGV  1 epoch  2 now_ms  3 fence  4 batch  5 count  6 cap  7 credit  8 returned
--       9 last published ordinal that the caller saw  10 who shows, as the policy wrote it
--       11 calls given back that `returned` has  12 calls per minute
--       13 depth of the meter of stand-by, millionths
-- Returns { place, order key, … } in calling order. Cost O(count · log n).
local meta, line, popped = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
if redis.call('HGET', meta, 'fence') ~= ARGV[3] or (redis.call('HGET', meta, 'seq') or '0') ~= ARGV[9] then
  return {}
end
local count, credit, returned = tonumber(ARGV[5]), tonumber(ARGV[7]), tonumber(ARGV[8])
local occupied = redis.call('ZCARD', popped) + redis.call('ZCARD', KEYS[4]) + redis.call('ZCARD', KEYS[5])
count = math.min(count, tonumber(ARGV[6]) - occupied)
-- After a failover: whoever has a later key may have been behind someone who is not back yet.
local kept_key, kept_ms = unpack(redis.call('HMGET', meta, 'kept_key', 'kept_ms'))
if count > 0 and tonumber(kept_ms or '0') > tonumber(ARGV[2]) then
  count = math.min(count, redis.call('ZCOUNT', line, '-inf', kept_key))
end
local taken = {}
if count > 0 and not redis.call('HGET', meta, 'pending') then
  taken = redis.call('ZPOPMIN', line, count)
end
for i = 1, #taken, 2 do
  taken[i + 1] = string.format('%.0f', tonumber(taken[i + 1]))
  redis.call('ZADD', popped, taken[i + 1], taken[i])
  redis.call('ZREM', KEYS[6], taken[i])
end
local cost = #taken / 2 * 1000000
local from_credit = math.min(cost, credit)
redis.call('HSET', meta,
  'credit', string.format('%.0f', credit - from_credit),
  'returned', string.format('%.0f', math.max(0, returned - (cost - from_credit))),
  'filled_ms', ARGV[2], 'shows', ARGV[10])
redis.call('HINCRBY', meta, 'given_back', string.format('%.0f', 0 - tonumber(ARGV[11])))
if #taken > 0 then
  -- All calls draw on the meter of stand-by, which owes no more than it can save up.
  local now, depth = tonumber(ARGV[2]), tonumber(ARGV[13])
  local meter, meter_ms = unpack(redis.call('HMGET', meta, 'meter', 'meter_ms'))
  local filled = depth
  if meter_ms then
    local elapsed = math.min(math.max(0, now - tonumber(meter_ms)), 600000)
    filled = math.min(depth, tonumber(meter) + math.floor(elapsed * tonumber(ARGV[12]) * 50 / 3))
  end
  redis.call('HSET', meta, 'pending', ARGV[4],
    'meter', string.format('%.0f', math.max(0 - depth, filled - cost)),
    'meter_ms', string.format('%.0f', math.max(now, tonumber(meter_ms or '0'))))
end
return taken
