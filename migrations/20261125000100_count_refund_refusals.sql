-- Only refusals wear a refund out; a provider that does not answer is asked again.

-- Times that the provider refused it, or that a refund it had made failed. Each refusal is
-- followed by a new idempotency key, so it is also what the key is made of.
alter table refunds add column refusal_count integer not null default 0;
