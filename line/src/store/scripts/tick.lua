-- Begins a leader's tick: takes or renews the lease and deals with what is overdue.
-- Guarantees: one leader at a time; the fence grows with every change of leader; calls past
-- their deadline and sessions past their end free their slots; nothing moves before its time; a
-- place that was given a live key and never seen since is given up when it is dropped, unless its
-- visits may be among what another server lost; what is done is known for a generation at least.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 missed  7 absent  8 session
--       9 outcomes  10 gateways  11 notices  12 done  13 drawn  14 done before
-- ARGV  1 epoch  2 now_ms  3 leader  4 lease ms  5 absence timeout ms  6 missed grace ms
--       7 most overdue places of each kind  8 lease of gateways ms
--       9 how far clocks may be apart, ms  10 how long a generation of what is done lasts, ms
-- Returns {} while another leads, else { fence, in line, occupied, given back, credit,
--       returned, filled_ms, pending batch or '', seq, held until ms, claims, who shows or '',
--       a gateway whose lease has ended or '', 1 if this server is confirmed to give live keys
--       else 0, when a pending batch of stand-by was popped, ms, else 0 }.
--       Cost O(limit · log n).
local meta, line, popped, called, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local missed, absent, session = KEYS[6], KEYS[7], KEYS[8]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local now, leader, limit = tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[7])
local holder, lease_end = unpack(redis.call('HMGET', meta, 'leader', 'lease_end'))
if holder ~= leader then
  -- A lease that ends later than any gateway could set it now is of one whose clock was wrong.
  local latest = now + tonumber(ARGV[4]) + tonumber(ARGV[9])
  if holder and tonumber(lease_end) > now and tonumber(lease_end) <= latest then
    return {}
  end
  redis.call('HINCRBY', meta, 'fence', 1)
  redis.call('HSET', meta, 'leader', leader)
end
redis.call('HSET', meta, 'lease_end', string.format('%.0f', now + tonumber(ARGV[4])))

local function overdue(key, before)
  return redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', before), 'LIMIT', 0, limit)
end

local seq = redis.call('HGET', meta, 'seq') or '0'
local given_back = tonumber(redis.call('HGET', meta, 'given_back') or '0')
for _, place in ipairs(overdue(called, now)) do
  redis.call('ZREM', called, place)
  redis.call('HDEL', session, place)
  local grace_end = string.format('%.0f', now + tonumber(ARGV[6]))
  redis.call('ZADD', missed, grace_end, place)
  redis.call('HSET', KEYS[9], place, 'missed:' .. seq .. ':' .. grace_end)
  redis.call('HINCRBY', meta, 'no_shows', 1)
  given_back = given_back + 1
end
redis.call('HSET', meta, 'given_back', given_back)
for _, place in ipairs(overdue(active, now)) do
  redis.call('ZREM', active, place)
  redis.call('HDEL', session, place)
end
for _, place in ipairs(overdue(missed, now)) do
  redis.call('ZREM', missed, place)
end
local state = redis.call('HMGET', meta, 'fence', 'credit', 'returned', 'filled_ms', 'pending', 'seq', 'held_ms',
  'claims', 'shows', 'key_server', 'standby', 'kept_ms', 'drawn_ms', 'done_ms')
-- Of a gateway of an older version, which knows no generations, the present one began now.
local has_aged = tonumber(state[14] or ARGV[2]) <= now - tonumber(ARGV[10])
if has_aged then
  -- Before the renaming, which would free what it overwrites at once.
  redis.call('UNLINK', KEYS[14])
  if redis.call('EXISTS', KEYS[12]) == 1 then
    redis.call('RENAME', KEYS[12], KEYS[14])
  end
end
if has_aged or not state[14] then
  redis.call('HSET', meta, 'done_ms', ARGV[2])
end
if state[13] and tonumber(state[13]) <= now - tonumber(ARGV[10]) then
  -- Every token that drew is too old to bring its place back.
  redis.call('UNLINK', KEYS[13])
  redis.call('HDEL', meta, 'drawn_ms')
  state[13] = nil
end
local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local is_whole = state[10] == own and tonumber(state[12] or '0') <= now
local dropped = overdue(absent, now - tonumber(ARGV[5]))
for _, place in ipairs(dropped) do
  local key, seen = redis.call('ZSCORE', line, place), redis.call('ZSCORE', absent, place)
  local is_live = key and tonumber(key) >= 4503599627370496
  if is_live and is_whole and string.find(seen, '.', 1, true) then
    redis.call('HSET', KEYS[12], place, 'gone')
  elseif key and not is_live and state[13] then
    redis.call('SADD', KEYS[13], place)
  end
  redis.call('ZREM', absent, place)
  redis.call('ZREM', line, place)
end
if #dropped > 0 then
  -- A gateway that has a connection of such a fan puts the place back. An empty call: gateways of
  -- an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[11], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(dropped))
end
local lapsed = redis.call('ZRANGEBYSCORE', KEYS[10], '-inf',
  string.format('%.0f', now - tonumber(ARGV[8])), 'LIMIT', 0, 1)

local occupied = redis.call('ZCARD', popped) + redis.call('ZCARD', called) + redis.call('ZCARD', active)
return {
  state[1], redis.call('ZCARD', line), occupied, given_back,
  state[2] or '0', state[3] or '0', state[4] or '0', state[5] or '', state[6] or '0',
  state[7] or '0', state[8] or '0', state[9] or '',
  lapsed[1] or '', state[10] == own and 1 or 0, string.match(state[11] or '0', '%d+'),
}
