-- What a provider made is looked at again for weeks: money may be captured, a refund fail and a bank
-- decide a dispute long after the first look, and the webhook that tells may be lost.

-- How far the present round of looks has come, for each listing of a provider.
create table reconciliation_again (
    provider text not null,
    listing text not null constraint reconciliation_again_listing
        check (listing in ('INTENTS', 'REFUNDS', 'DISPUTES')),
    -- Whatever was created before this was looked at in this round.
    from_at timestamptz not null,
    -- The next page of the span that begins there, in the provider's words; null for its first.
    page text,
    -- When the next round may begin; null during a round.
    next_at timestamptz,
    primary key (provider, listing)
);
