-- Makes the pending batch called, or sessions if it is one of stand-by, once it is in the durable
-- log (LOGGED-FIRST).
-- Guarantees: happens once for a batch; ordinals follow the calling order; whoever left meanwhile
-- is not called, and their slot and rate credit are free.
-- KEYS  1 meta  2 popped  3 called  4 done  5 session  6 notices  7 outcomes
--       8 active  9 done before
-- ARGV  1 epoch  2 batch  3 ordinal of the first  4 claim deadline ms
-- Returns 1, or 0 when the batch is not pending (any more). Cost O(batch · log n).
local meta, popped = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
if redis.call('HGET', meta, 'pending') ~= ARGV[2] then
  return 0
end
local batch = redis.call('ZRANGE', popped, 0, -1, 'WITHSCORES')
local started, expires = string.match(redis.call('HGET', meta, 'standby') or '', '(%d+):(%d+)')
local first = tonumber(ARGV[3])
local last = string.format('%.0f', first + #batch / 2 - 1)

-- Tells of consecutive ordinals, from `from` on.
local function tell(places, from)
  if #places > 0 then
    redis.call('XADD', KEYS[6], 'MAXLEN', '~', 10000, '*', 'kind', 'called',
      'places', table.concat(places), 'seq', string.format('%.0f', from), 'until', ARGV[4])
  end
end

-- Begins a session of stand-by.
local function begin(place, ordinal)
  redis.call('ZADD', KEYS[8], expires, place)
  redis.call('HSET', KEYS[5], place, ordinal .. ':' .. started)
  redis.call('HSET', KEYS[7], place, 'claimed:' .. last .. ':' .. expires)
  redis.call('HINCRBY', meta, 'claims', 1)
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', 10000, '*', 'kind', 'claimed',
    'places', place, 'seq', ordinal, 'started', started, 'until', expires)
end

local run, seq, gone = {}, first, 0
for i = 1, #batch, 2 do
  local place = batch[i]
  if redis.call('HGET', KEYS[4], place) or redis.call('HGET', KEYS[9], place) then
    tell(run, seq - #run)
    run, gone = {}, gone + 1
    redis.call('HSET', KEYS[7], place, 'left:' .. last .. ':0')
  elseif started then
    redis.call('HSET', KEYS[4], place, string.format('%.0f', tonumber(batch[i + 1])))
    begin(place, string.format('%.0f', seq))
  else
    redis.call('ZADD', KEYS[3], ARGV[4], place)
    redis.call('HSET', KEYS[4], place, string.format('%.0f', tonumber(batch[i + 1])))
    redis.call('HSET', KEYS[5], place, string.format('%.0f:0', seq))
    run[#run + 1] = place
  end
  seq = seq + 1
end
tell(run, seq - #run)
redis.call('DEL', popped)
redis.call('HDEL', meta, 'pending', 'standby')
redis.call('HINCRBY', meta, 'calls', #batch / 2)
redis.call('HINCRBY', meta, 'given_back', gone)
local known = tonumber(redis.call('HGET', meta, 'seq') or '0')
redis.call('HSET', meta, 'seq', string.format('%.0f', math.max(known, seq - 1)))
return 1
