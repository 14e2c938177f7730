-- Lets visitors in at the door, a batch at a time, and says how each stands.
-- Guarantees: PLACE-ONCE, a known place stays where it is, also within the batch; live keys grow
-- strictly (ORDER); a place the store has lost is put back at the key of its token (NO-LOSS); a place
-- known not to have been present at the opening has no draw (PRESENT); only a confirmed server gives
-- live keys, up to its limit: an entry that needs another changes nothing. The connections of a place
-- that comes back after leaving or a missed turn are told.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 missed  7 absent  8 done  9 session
--       10 notices  11 outcomes  12 gateways  13 drawn  14 done before
--       15 the list of the gateway
-- ARGV  1 epoch  2 now_ms  3 live clock floor at now  4 the gateway of connected entries, or ''
--       then of all entries, packed:  5 two letters: j (join), l (look) or r (return), and c when
--       connected, d when the key was drawn, b for both, else -  6 place, 16 bytes  7 order key until
--       the room is open, and after it of drawn places that were present, a little-endian double, -1
--       for none  8 order key once the room is open
-- Returns a letter for each entry, and little-endian doubles: places in line and joins before the
--       batch, then of each entry n (new) key | p (put back) key | f (missed turn forgiven) key
--       | w (waits) key | c (called) key seq claim_by | a (active) key seq started expires
--       | m (missed) key until | e (ended) key | l (left) | u (unknown) | k (keyless).
--       Cost O(entries · log n): a few commands for all that are new or wait, more for each other.
local meta, line, popped, called, active = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local missed, absent, done, session = KEYS[6], KEYS[7], KEYS[8], KEYS[9]
local epoch, clock_known, joins_known, is_open, last_seq, key_server, key_limit, drawn_ms =
  unpack(redis.call('HMGET', meta, 'epoch', 'clock', 'joins', 'opened', 'seq', 'key_server',
    'key_limit', 'drawn_ms'))
if epoch ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local now_ms, now, count, LIVE_BASE, NONE = ARGV[2], tonumber(ARGV[2]), #ARGV[5] / 2, 4503599627370496, -1
local flags = { struct.unpack(string.rep('c1', 2 * count), ARGV[5]) }
local places = { struct.unpack(string.rep('c16', count), ARGV[6]) }
-- Everyone can compute the draw of a room that is open (DRAW).
local keys = { struct.unpack('<' .. string.rep('d', count), ARGV[is_open and 8 or 7]) }
local draws = is_open and string.find(ARGV[5], '[db]')
  and { struct.unpack('<' .. string.rep('d', count), ARGV[7]) }
local served = redis.call('HMGET', done, unpack(places, 1, count))
if redis.call('EXISTS', KEYS[14]) == 1 then
  local before = redis.call('HMGET', KEYS[14], unpack(places, 1, count))
  for i = 1, count do
    served[i] = served[i] or before[i]
  end
end
local in_line = redis.call('ZMSCORE', line, unpack(places, 1, count))
local in_popped = redis.call('ZCARD', popped) > 0
  and redis.call('ZMSCORE', popped, unpack(places, 1, count)) or {}
local floor = math.max(tonumber(clock_known), tonumber(ARGV[3]) - 1)
joins_known = tonumber(joins_known or '0')
local clock, joins, limit = floor, joins_known, nil
-- Of this batch: keys of places that it put into the line or made popped again, members to add to
-- the line and how many values they are, places whose connections are told, and the mark of those
-- that were given a live key, half a millisecond before now until they are seen.
local waits, added, added_count, back = {}, {}, 0, {}
local unseen, UNSEEN = {}, string.format('%.1f', now - 0.5)
-- Half as dear as '%.0f', and exact where Redis is built for 64 bits.
local EXACT = string.format('%d', LIVE_BASE) == '4503599627370496' and '%d' or '%.0f'

local function text(number)
  return string.format(EXACT, number)
end

-- The highest clock value that this server may give, if it is the one that was confirmed: its
-- replication id is another one after every restart and every promotion.
local function keys_limit()
  local own = limit or string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  limit = limit or key_server == own and tonumber(key_limit) or 0
  return limit
end

local function put(letter, place, key)
  added[added_count + 1], added[added_count + 2], added_count = text(key), place, added_count + 2
  waits[place] = key
  return letter, key
end

-- The key of an entry, should it be put into the line.
local function key_of(i)
  local how = flags[2 * i]
  local is_drawn = draws and (how == 'd' or how == 'b')
  if is_drawn and (not drawn_ms or redis.call('SISMEMBER', KEYS[13], places[i]) == 1) then
    return draws[i]
  end
  return keys[i]
end

-- A place that is nowhere: restored at its key, or given the next live one.
local function enter(place, key, mode)
  if key == NONE and (mode ~= 'j' or clock >= keys_limit()) then
    return mode == 'j' and 'k' or 'u'
  elseif key == NONE then
    clock = clock + 1
    key, unseen[place] = LIVE_BASE + clock, UNSEEN
  elseif key - LIVE_BASE > clock and keys_limit() > 0 then
    -- From before the records were put back to an earlier state: later joiners come after it.
    clock = key - LIVE_BASE
  end
  joins = joins + (mode == 'j' and 1 or 0)
  return put(mode == 'j' and 'n' or 'p', place, key)
end

local function undone(place)
  redis.call('HDEL', done, place)
  redis.call('HDEL', KEYS[14], place)
end

-- A place that left.
local function come_back(place, key, mode, was, popped_key)
  if mode ~= 'j' then
    return 'l'
  elseif popped_key then
    -- Popped for a call when they left: it is theirs again.
    undone(place)
    redis.call('HDEL', KEYS[11], place)
    waits[place] = tonumber(popped_key)
    return 'w', waits[place]
  end
  -- Whoever left gave up their turn: a live key is not given again, and its nonce does not draw
  -- one now. A drawn key is the nonce's for good.
  local letter, given = enter(place, (was == 'gone' or key >= LIVE_BASE) and NONE or key, mode)
  if given then
    undone(place)
    back[#back + 1] = place
  end
  return letter, given
end

-- A place that was called.
local function stand(place, key, mode)
  local seq, started = string.match(redis.call('HGET', session, place) or '0:0', '(%d+):(%d+)')
  local expires = tonumber(redis.call('ZSCORE', active, place) or 0)
  if expires > now then
    return 'a', key, tonumber(seq), tonumber(started), expires
  end
  -- Past its deadline it is still a call, until a tick makes it a missed turn.
  local claim_by = redis.call('ZSCORE', called, place)
  if claim_by then
    return 'c', key, tonumber(seq), tonumber(claim_by)
  end
  local grace = tonumber(redis.call('ZSCORE', missed, place) or 0)
  if grace <= now then
    return 'e', key
  elseif mode == 'l' then
    return 'm', key, grace
  end
  redis.call('ZREM', missed, place)
  undone(place)
  back[#back + 1] = place
  return put('f', place, key)
end

local is_waiting = { n = true, p = true, f = true, w = true }
local is_connected = { c = true, b = true }
local letters, numbers, last = {}, { redis.call('ZCARD', line), joins_known }, 2
local fresh, fresh_count, seen, seen_count, connected, present = {}, 0, {}, 0, {}, {}
for i = 1, count do
  local place, mode, was = places[i], flags[2 * i - 1], served[i]
  local key = waits[place] or not was and (in_popped[i] or in_line[i])
  local letter, second, third, fourth
  if key then
    letter, key = 'w', tonumber(key)
  elseif not was then
    letter, key = enter(place, key_of(i), mode)
  elseif was == 'left' or was == 'gone' then
    letter, key = come_back(place, key_of(i), mode, was, in_popped[i])
  else
    letter, key, second, third, fourth = stand(place, tonumber(was), mode)
  end
  letters[i] = letter
  if key then
    last = last + 1
    numbers[last] = key
  end
  if second then
    numbers[last + 1], numbers[last + 2], numbers[last + 3] = second, third, fourth
    last = #numbers
  elseif is_waiting[letter] and is_connected[flags[2 * i]] then
    connected[#connected + 1], present[#present + 1] = place, text(key)
  elseif letter == 'w' then
    seen[seen_count + 1], seen[seen_count + 2], seen_count = now_ms, place, seen_count + 2
  elseif is_waiting[letter] then
    fresh[fresh_count + 1], fresh[fresh_count + 2] = unseen[place] or now_ms, place
    fresh_count = fresh_count + 2
  end
end

if #added > 0 then
  redis.call('ZADD', line, unpack(added))
end
if #fresh > 0 then
  redis.call('ZADD', absent, unpack(fresh))
end
if #connected > 0 then
  redis.call('ZREM', absent, unpack(connected))
  -- In the same step: should the gateway die, nobody counts as present for its sake.
  redis.call('RPUSH', KEYS[15], unpack(present))
  redis.call('ZADD', KEYS[12], now_ms, ARGV[4])
end
if #seen > 0 then
  -- Someone who polls beside a connection is present: the connection stands for them.
  redis.call('ZADD', absent, 'XX', unpack(seen))
end
for _, place in ipairs(back) do
  redis.call('HSET', KEYS[11], place, 'returned:' .. (last_seq or '0') .. ':0')
end
if #back > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(back))
end
if joins > joins_known or clock > floor then
  redis.call('HSET', meta, 'joins', text(joins), 'clock', clock > floor and text(clock) or clock_known)
end
return { table.concat(letters), struct.pack('<' .. string.rep('d', #numbers), unpack(numbers)) }
