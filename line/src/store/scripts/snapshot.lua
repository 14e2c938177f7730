-- Reads the counts of the line and the order keys of its first places.
-- Guarantees: one moment of the line; changes nothing.
-- KEYS  1 meta  2 line  3 popped  4 called  5 active  6 absent
-- ARGV  1 epoch  2 places in the head
-- Returns { in line, popped, absent, called, active, joins, calls, claims, no shows, ended, clock,
--       birth, straight in, head keys as little-endian doubles }. Cost O(head + log n).
local meta, line = KEYS[1], KEYS[2]
if redis.call('HGET', meta, 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local found = redis.call('ZRANGE', line, 0, tonumber(ARGV[2]) - 1, 'WITHSCORES')
local head = {}
for i = 2, #found, 2 do
  head[i / 2] = found[i]
end
local counters = redis.call('HMGET', meta, 'joins', 'calls', 'claims', 'no_shows', 'ended', 'clock', 'born', 'standby_total')
for i = 1, 8 do
  counters[i] = counters[i] or '0'
end
counters[9] = struct.pack('<' .. string.rep('d', #head), unpack(head))
return {
  redis.call('ZCARD', line), redis.call('ZCARD', KEYS[3]), redis.call('ZCARD', KEYS[6]),
  redis.call('ZCARD', KEYS[4]), redis.call('ZCARD', KEYS[5]), unpack(counters),
}
