-- Makes the room at its epoch, or adds admissions that the durable log knows and the store lost.
-- Guarantees: an older epoch is wiped, a later one is never touched; a room is open to other
-- operations only when its last admission is in; an admission up to the last published ordinal
-- is known, and what became of its place since is left as it is; a popped place stays popped, as
-- its batch is still to be published; a place newly known as served is in the line no more, and
-- its connections are told, and its call is paid for; who
-- began to make the room is not disturbed unless they were silent for long.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 missed  7 absent  8 done  9 session
--       10 snapshot  11 opening  12 notices  13 outcomes  14 lastpages  15 lastpage  16 gateways
--       17 drawn  18 done before  and the lists of gateways
-- ARGV  1 epoch  2 1 if it has opened, else 0  3 first, more or last, joined by + for a single call
--       4 name of this birth  5 now_ms  6 longest silence ms  7 last ordinal of the log
--       8 calls are held until ms (0: not)  then for each admission: seq, place, order key,
--       called_ms, how it stands: over, called, active, missed or left, until ms
-- Returns 1. Cost O(admissions · log n); callers pass at most a thousand.
local epoch, stage = tonumber(ARGV[1]), ARGV[3]
local known, loading, heard, making =
  unpack(redis.call('HMGET', KEYS[1], 'epoch', 'loading', 'loading_ms', 'making'))
if tonumber(known or making or '0') > epoch then
  return redis.error_reply('NOROOM the room is at a later epoch')
end
local open = known and tonumber(known) == epoch
local is_disturbed = loading and loading ~= ARGV[4]
  and tonumber(ARGV[5]) < tonumber(heard or '0') + tonumber(ARGV[6])
if not open and string.find(stage, 'first') and not is_disturbed then
  redis.call('UNLINK', unpack(KEYS))
  redis.call('HSET', KEYS[1], 'loading', ARGV[4], 'making', epoch, 'clock', '0', 'seq', '0')
elseif not open and loading ~= ARGV[4] then
  return redis.error_reply('NOROOM another process makes the room')
end
if not open then
  redis.call('HSET', KEYS[1], 'loading_ms', ARGV[5])
end
local seq_known = tonumber(redis.call('HGET', KEYS[1], 'seq'))
local seq_max = seq_known
local run, run_first, run_until, looks, added = {}, 0, '0', {}, 0
local function tell()
  if #run > 0 then
    redis.call('XADD', KEYS[12], 'MAXLEN', '~', 10000, '*', 'kind', 'called',
      'places', table.concat(run), 'seq', string.format('%.0f', run_first), 'until', run_until)
  end
  run = {}
end
for i = 9, #ARGV, 6 do
  local seq, place, key, called_ms, word, until_ms = unpack(ARGV, i, i + 5)
  if tonumber(seq) > seq_known and not redis.call('ZSCORE', KEYS[3], place) then
    for _, elsewhere in ipairs({ KEYS[2], KEYS[4], KEYS[5], KEYS[6], KEYS[7] }) do
      redis.call('ZREM', elsewhere, place)
    end
    redis.call('HDEL', KEYS[9], place)
    redis.call('HSET', KEYS[8], place, key)
    added = added + 1
    if word == 'called' then
      if #run == 0 or run_first + #run ~= tonumber(seq) or run_until ~= until_ms then
        tell()
        run_first, run_until = tonumber(seq), until_ms
      end
      run[#run + 1] = place
      redis.call('ZADD', KEYS[4], until_ms, place)
      redis.call('HSET', KEYS[9], place, seq .. ':0')
    else
      looks[#looks + 1] = place
    end
    if word == 'missed' then
      redis.call('ZADD', KEYS[6], until_ms, place)
    elseif word == 'left' then
      redis.call('HSET', KEYS[8], place, tonumber(key) >= 4503599627370496 and 'gone' or 'left')
    elseif word == 'active' then
      redis.call('ZADD', KEYS[5], until_ms, place)
      redis.call('HSET', KEYS[9], place, seq .. ':' .. called_ms)
    end
  end
  seq_max = math.max(seq_max, tonumber(seq))
end
tell()
if open and #looks > 0 then
  -- An empty call: gateways of an older version, which do not know `look`, skip it.
  redis.call('XADD', KEYS[12], 'MAXLEN', '~', 10000, '*', 'kind', 'called', 'places', '',
    'seq', '0', 'until', '0', 'look', table.concat(looks))
end
local credit = tonumber(redis.call('HGET', KEYS[1], 'credit') or '0')
if added > 0 and credit > 0 then
  -- Their credit was spent when they were called: a batch is not called twice by it.
  redis.call('HSET', KEYS[1], 'credit', string.format('%.0f', math.max(0, credit - added * 1000000)))
end
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[1], 'opened', '1')
end
if string.find(stage, 'last') then
  seq_max = math.max(seq_max, tonumber(ARGV[7]))
end
redis.call('HSET', KEYS[1], 'seq', string.format('%.0f', seq_max))
if not open and string.find(stage, 'last') then
  redis.call('HSET', KEYS[1], 'epoch', ARGV[1], 'born', ARGV[4], 'born_ms', ARGV[5],
    'held_ms', ARGV[8])
  redis.call('HDEL', KEYS[1], 'loading', 'loading_ms', 'making')
end
return 1
