-- Gives up a place, or ends its session.
-- Guarantees: the slot of a call or session is free at once; leaving twice is harmless. A place
-- popped for a call is called no more, although its batch may be in the log already. Whoever
-- gives up a live place is `gone`: they can only come back behind everyone. Whoever gives up a
-- drawn place after the opening was present at it. Their other connections are told.
-- KEYS  1 meta  2 line  3 called  4 active  5 missed  6 absent  7 done  8 session  9 notices
--       10 outcomes  11 popped  12 drawn  13 done before
-- ARGV  1 epoch  2 place
-- Returns 1 if there was something to leave, else 0. Cost O(log n).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local place = ARGV[2]
local popped = redis.call('ZSCORE', KEYS[11], place)
local was = redis.call('HGET', KEYS[7], place) or redis.call('HGET', KEYS[13], place)
local key = popped or redis.call('ZSCORE', KEYS[2], place) or was
-- An empty call: gateways of an older version, which do not know `look`, skip it.
local seq = redis.call('HGET', KEYS[1], 'seq') or '0'
local function tell()
  redis.call('HSET', KEYS[10], place, 'left:' .. seq .. ':0')
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', place)
end
local function leave()
  local is_live = (tonumber(key or '') or 0) >= 4503599627370496
  redis.call('HSET', KEYS[7], place, is_live and 'gone' or 'left')
  if not is_live and redis.call('HGET', KEYS[1], 'drawn_ms') then
    redis.call('SADD', KEYS[12], place)
  end
  tell()
  return 1
end
if popped then
  if was then
    return 0
  end
  return leave()
end
if redis.call('ZREM', KEYS[2], place) == 1 or redis.call('ZREM', KEYS[5], place) == 1 then
  redis.call('ZREM', KEYS[6], place)
  return leave()
end
if redis.call('ZREM', KEYS[3], place) == 1 then
  redis.call('HINCRBY', KEYS[1], 'given_back', 1)
  redis.call('HDEL', KEYS[8], place)
  return leave()
end
if redis.call('ZREM', KEYS[4], place) == 1 then
  local ordinal = string.match(redis.call('HGET', KEYS[8], place) or '0:0', '(%d+):')
  redis.call('HINCRBY', KEYS[1], 'ended', 1)
  redis.call('HSET', KEYS[10], place, 'ended:' .. seq .. ':0')
  redis.call('HDEL', KEYS[8], place)
  redis.call('XADD', KEYS[9], 'MAXLEN', '~', 10000, '*', 'kind', 'ended', 'places', place,
    'seq', ordinal)
  return 1
end
return 0
