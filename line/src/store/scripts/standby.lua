-- Lets newcomers straight in while nobody waits: pops them, without a place in the line.
-- Guarantees: nobody is overtaken, as the line is empty and no batch is pending; CAP; RATE, by the
-- meter that all calls draw on; live keys grow strictly, and only a confirmed server gives them;
-- the batch stays popped until it is published.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active
-- ARGV  1 epoch  2 now_ms  3 live clock floor at now  4 batch  5 cap  6 calls per minute
--       7 depth of the meter, millionths  8 end of the sessions, ms  9 places, 16 bytes each
-- Returns { how many of them, order key of the first, why not all or '' }. Cost O(places · log n).
local meta = KEYS[1]
local epoch, clock_known, opened, pending, held_ms, kept_ms, key_server, key_limit, meter, meter_ms =
  unpack(redis.call('HMGET', meta, 'epoch', 'clock', 'opened', 'pending', 'held_ms', 'kept_ms',
    'key_server', 'key_limit', 'meter', 'meter_ms'))
if epoch ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local now, rate, depth = tonumber(ARGV[2]), tonumber(ARGV[6]), tonumber(ARGV[7])
local wanted, LIVE_BASE, CREDITED_MS_MAX = #ARGV[9] / 16, 4503599627370496, 600000
if not opened then
  return { 0, '0', 'unopened' }
elseif tonumber(held_ms or '0') > now or tonumber(kept_ms or '0') > now then
  return { 0, '0', 'held' }
elseif pending then
  return { 0, '0', 'pending' }
elseif redis.call('ZCARD', KEYS[2]) > 0 then
  return { 0, '0', 'line' }
end
-- The replication id is another one after every restart and every promotion.
local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
local clock = math.max(tonumber(clock_known), tonumber(ARGV[3]) - 1)
if key_server ~= own or clock + wanted > tonumber(key_limit or '0') then
  return { 0, '0', 'keyless' }
end
local credit = depth
if meter_ms then
  local elapsed = math.min(math.max(0, now - tonumber(meter_ms)), CREDITED_MS_MAX)
  credit = math.min(depth, tonumber(meter) + math.floor(elapsed * rate * 50 / 3))
end
local by_rate = math.max(0, math.floor(credit / 1000000))
local occupied = redis.call('ZCARD', KEYS[3]) + redis.call('ZCARD', KEYS[4]) + redis.call('ZCARD', KEYS[5])
local by_cap = math.max(0, tonumber(ARGV[5]) - occupied)
local count = math.min(wanted, by_rate, by_cap)
local why = count == wanted and '' or (by_cap <= by_rate and 'cap' or 'rate')
if count == 0 then
  return { 0, '0', why }
end
local popped = {}
for i = 1, count do
  popped[2 * i - 1] = string.format('%.0f', LIVE_BASE + clock + i)
  popped[2 * i] = string.sub(ARGV[9], 16 * i - 15, 16 * i)
end
redis.call('ZADD', KEYS[3], unpack(popped))
redis.call('HSET', meta, 'clock', string.format('%.0f', clock + count), 'pending', ARGV[4],
  'standby', ARGV[2] .. ':' .. ARGV[8], 'meter', string.format('%.0f', credit - count * 1000000),
  'meter_ms', string.format('%.0f', math.max(now, tonumber(meter_ms or '0'))))
redis.call('HINCRBY', meta, 'standby_total', count)
return { count, popped[1], why }
