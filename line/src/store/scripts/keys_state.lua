-- Reads who may give live keys, and how far the live clock is.
-- Guarantees: changes nothing.
-- KEYS  1 meta
-- ARGV  1 epoch
-- Returns { 1 if this server is confirmed else 0, term, clock, limit, lifts }. Cost O(1).
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return redis.error_reply('NOROOM the room is not at this epoch')
end
local server, term, clock, limit, lifts =
  unpack(redis.call('HMGET', KEYS[1], 'key_server', 'key_term', 'clock', 'key_limit', 'key_lifts'))
local own = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
return { server == own and 1 or 0, term or '0', clock, limit or '0', lifts or '' }
