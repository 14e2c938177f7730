-- Adds admissions that the durable log knows, to a room that is being made or that lost them.
-- Guarantees: a room is open to other operations only when its last admission is in; an admission up
-- to the last ordinal that the room has is known, and what became of its place since is left as it
-- is; no admission is left out, also when the room went back to an earlier state meanwhile; a popped
-- place stays popped, as its batch is still to be published; a place newly known as served is in the
-- line no more, and its connections are told, and its call is paid for; only the process that claimed
-- the making last adds to a room that is not there.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 missed  7 absent  8 done  9 session
--       10 notices
-- ARGV  1 epoch  2 process  3 now_ms  4 the room has the log up to this ordinal  5 and up to this one
--       then  6 1 with the end of the log, else 0  7 1 if it has opened, else 0  8 calls are held until
--       ms (0: not)  9 name of this birth  then of all admissions, packed:  10 a letter: o over,
--       c called, a active, m missed, l left  11 place, 16 bytes  12 seq  13 order key  14 called_ms
--       15 until ms, little-endian doubles
-- Returns 1. Cost O(admissions · log n): a few commands for all that are over in a room that is not
--       there, some more for each other; callers pass at most a thousand.
local meta, called, active, done, session = KEYS[1], KEYS[4], KEYS[5], KEYS[8], KEYS[9]
local known, making, maker, seq_text, credit =
  unpack(redis.call('HMGET', meta, 'epoch', 'making', 'loading', 'seq', 'credit'))
if (known or making) ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
if maker ~= ARGV[2] and (maker or not known) then
  return redis.error_reply('NOROOM another process makes the room')
end
local is_end, count, LIVE_BASE = ARGV[6] == '1', #ARGV[10], 4503599627370496
local seq_known = tonumber(seq_text or '0')
if seq_known < tonumber(ARGV[4]) then
  return redis.error_reply('NOROOM the room lacks earlier admissions')
end
-- Half as dear as '%.0f', and exact where Redis is built for 64 bits.
local EXACT = string.format('%d', LIVE_BASE) == '4503599627370496' and '%d' or '%.0f'
local function text(number)
  return string.format(EXACT, number)
end
local function numbers(packed)
  return { struct.unpack('<' .. string.rep('d', count), packed) }
end
local words = { struct.unpack(string.rep('c1', count), ARGV[10]) }
local places = { struct.unpack(string.rep('c16', count), ARGV[11]) }
local seqs, keys, calls_ms, untils = numbers(ARGV[12]), numbers(ARGV[13]), numbers(ARGV[14]), numbers(ARGV[15])
-- In a room that is not there a place stands somewhere only if it was called before.
local before = not known and count > 0 and redis.call('HMGET', done, unpack(places, 1, count)) or {}

local run, run_first, run_until, looks, added, dones = {}, 0, 0, {}, {}, {}
local function tell()
  if #run > 0 then
    redis.call('XADD', KEYS[10], 'MAXLEN', '~', 10000, '*', 'kind', 'called',
      'places', table.concat(run), 'seq', text(run_first), 'until', text(run_until))
  end
  run = {}
end
local function take_out(place)
  for _, elsewhere in ipairs({ KEYS[2], called, active, KEYS[6], KEYS[7] }) do
    redis.call('ZREM', elsewhere, place)
  end
  redis.call('HDEL', session, place)
end
for i = 1, count do
  local place, word, seq, until_ms = places[i], words[i], seqs[i], untils[i]
  if seq > seq_known and not (known and redis.call('ZSCORE', KEYS[3], place)) then
    if known or before[i] or added[place] then
      take_out(place)
    end
    added[place] = true
    local mark = text(keys[i])
    if word == 'c' then
      if #run == 0 or run_first + #run ~= seq or run_until ~= until_ms then
        tell()
        run_first, run_until = seq, until_ms
      end
      run[#run + 1] = place
      redis.call('ZADD', called, text(until_ms), place)
      redis.call('HSET', session, place, text(seq) .. ':0')
    else
      looks[#looks + 1] = place
    end
    if word == 'm' then
      redis.call('ZADD', KEYS[6], text(until_ms), place)
    elseif word == 'l' then
      mark = keys[i] >= LIVE_BASE and 'gone' or 'left'
    elseif word == 'a' then
      redis.call('ZADD', active, text(until_ms), place)
      redis.call('HSET', session, place, text(seq) .. ':' .. text(calls_ms[i]))
    end
    dones[#dones + 1], dones[#dones + 2] = place, mark
  end
end
tell()
if #dones > 0 then
  redis.call('HSET', done, unpack(dones))
end
if known and #looks > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[10], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(looks))
end
credit = tonumber(credit or '0')
if #dones > 0 and credit > 0 then
  -- Their credit was spent when they were called: a batch is not called twice by it.
  redis.call('HSET', meta, 'credit', string.format('%.0f', math.max(0, credit - #dones / 2 * 1000000)))
end
redis.call('HSET', meta, 'seq', text(math.max(seq_known, tonumber(ARGV[5]))))
if maker == ARGV[2] then
  redis.call('HSET', meta, 'loading_ms', ARGV[3])
end
if is_end and ARGV[7] == '1' then
  redis.call('HSET', meta, 'opened', '1')
end
if is_end and not known then
  redis.call('HSET', meta, 'epoch', ARGV[1], 'born', ARGV[9], 'born_ms', ARGV[3], 'held_ms', ARGV[8])
end
if is_end then
  redis.call('HDEL', meta, 'loading', 'loading_ms', 'making')
end
return 1
