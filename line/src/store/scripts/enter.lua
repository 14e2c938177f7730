-- Lets visitors in at the door, a batch at a time, and says how each stands.
-- Guarantees: PLACE-ONCE, a known place stays where it is; live keys grow strictly (ORDER);
-- a place the store has lost is put back at the key of its token (NO-LOSS); only a confirmed
-- server gives live keys, up to its limit: an entry that needs another changes nothing. The
-- connections of a place that comes back after leaving or a missed turn are told.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 missed  7 absent  8 done  9 session
--       10 notices  11 outcomes  12 gateways  13 the list of the gateway
-- ARGV  1 epoch  2 now_ms  3 live clock floor at now  4 the gateway of connected entries, or ''
--       then for each entry: place, order key or '', mode: j (join), l (look), r (return), followed by c when connected,
--       and what replaces the key once the room is open: an order key, live, or '' for nothing
-- Returns for each entry a status word and its numbers: waiting key fresh number before
--       | called seq claim_by key | active seq started expires key | missed key until | left
--       | ended key | unknown | keyless. Cost O(entries · log n).
local meta, line, popped, called, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local missed, absent, done, session = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local now, LIVE_BASE = tonumber(ARGV[2]), 4503599627370496
local clock = math.max(tonumber(redis.call('HGET', meta, 'clock')), tonumber(ARGV[3]) - 1)
local clock_given, back, is_open, limit = false, {}, redis.call('HGET', meta, 'opened'), nil
local joins, in_line = tonumber(redis.call('HGET', meta, 'joins') or '0'), redis.call('ZCARD', line)

-- The highest clock value that this server may give, if it is the one that was confirmed: its
-- replication id is another one after every restart and every promotion.
local function keys_limit()
  if limit then return limit end
  local server, reserved = unpack(redis.call('HMGET', meta, 'key_server', 'key_limit'))
  local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  limit = server == own and tonumber(reserved) or 0
  return limit
end

local function standing(score)
  return { 'waiting', string.format('%.0f', tonumber(score)), '0', '0', 0 }
end
local function put(place, key)
  in_line = in_line + redis.call('ZADD', line, key, place)
  return in_line - 1
end

-- A place that is nowhere: restored at its key, or given the next live one.
local function enter(place, key, mode)
  if key == '' and (mode ~= 'j' or clock >= keys_limit()) then
    return { mode == 'j' and 'keyless' or 'unknown' }
  elseif key == '' then
    clock, clock_given = clock + 1, true
    key = string.format('%.0f', LIVE_BASE + clock)
  elseif tonumber(key) - LIVE_BASE > clock and keys_limit() > 0 then
    -- From before the records were put back to an earlier state: later joiners come after it.
    clock, clock_given = tonumber(key) - LIVE_BASE, true
  end
  if mode == 'j' then
    joins = joins + 1
  end
  return { 'waiting', key, '1', string.format('%.0f', joins), put(place, key) }
end

local function stand(place, key, mode)
  local was = redis.call('HGET', done, place)
  if not was then
    local score = redis.call('ZSCORE', popped, place) or redis.call('ZSCORE', line, place)
    return score and standing(score) or enter(place, key, mode)
  end
  if was == 'left' or was == 'gone' then
    if mode ~= 'j' then
      return { 'left' }
    end
    local score = redis.call('ZSCORE', popped, place)
    if score then
      -- Popped for a call when they left: it is theirs again.
      redis.call('HDEL', done, place)
      redis.call('HDEL', KEYS[11], place)
      return standing(score)
    end
    -- Whoever left gave up their turn: a live key is not given again, and its nonce does not
    -- draw one now. A drawn key is the nonce's for good.
    if was == 'gone' or key ~= '' and tonumber(key) >= LIVE_BASE then
      key = ''
    end
    local answer = enter(place, key, mode)
    if answer[1] == 'waiting' then
      redis.call('HDEL', done, place)
      back[#back + 1] = place
    end
    return answer
  end
  local expires = redis.call('ZSCORE', active, place)
  if expires and tonumber(expires) > now then
    local seq, started = string.match(redis.call('HGET', session, place) or '0:0', '(%d+):(%d+)')
    return { 'active', seq, started, expires, was }
  end
  -- Past its deadline it is still a call, until a tick makes it a missed turn.
  local claim_by = redis.call('ZSCORE', called, place)
  if claim_by then
    local seq = string.match(redis.call('HGET', session, place) or '0:0', '(%d+):')
    return { 'called', seq, claim_by, was }
  end
  local grace = redis.call('ZSCORE', missed, place)
  if grace and tonumber(grace) > now then
    if mode == 'l' then
      return { 'missed', was, grace }
    end
    redis.call('ZREM', missed, place)
    redis.call('HDEL', done, place)
    back[#back + 1] = place
    return { 'waiting', was, '1', '0', put(place, was) }
  end
  return { 'ended', was }
end

local answers, present = {}, {}
for i = 5, #ARGV, 4 do
  local place, key, flags, later = unpack(ARGV, i, i + 3)
  if is_open and later ~= '' then
    -- Everyone can compute the draw now (DRAW).
    key = later == 'live' and '' or later
  end
  local answer = stand(place, key, string.sub(flags, 1, 1))
  if answer[1] == 'waiting' then
    if string.sub(flags, 2, 2) == 'c' then
      redis.call('ZREM', absent, place)
      present[#present + 1] = answer[2]
    elseif answer[3] == '1' then
      redis.call('ZADD', absent, now, place)
    else
      -- Someone who polls beside a connection is present: the connection stands for them.
      redis.call('ZADD', absent, 'XX', now, place)
    end
  end
  answers[#answers + 1] = answer
end
if #present > 0 then
  -- In the same step: should the gateway die, nobody counts as present for its sake.
  redis.call('RPUSH', KEYS[13], unpack(present))
  redis.call('ZADD', KEYS[12], now, ARGV[4])
end
for _, place in ipairs(back) do
  redis.call('HSET', KEYS[11], place, 'returned:' .. (redis.call('HGET', meta, 'seq') or '0') .. ':0')
end
if #back > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(back))
end
redis.call('HSET', meta, 'joins', string.format('%.0f', joins))
if clock_given then
  redis.call('HSET', meta, 'clock', string.format('%.0f', clock))
end
return answers
