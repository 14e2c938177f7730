-- Keys that sign tickets, apart from the keys that sign passes: those are replaced while tickets of
-- shows to come are sold.

create table ticket_keys (
    -- The number that a ticket carries.
    key_id smallint primary key constraint ticket_keys_id check (key_id between 1 and 255),
    -- Verifies tickets even when nobody can open the secret half any more.
    public_key bytea not null constraint ticket_keys_public check (octet_length(public_key) = 32),
    created_at timestamptz not null
);

-- The secret half, once for each signing key of a gateway that started here. Whoever opens the
-- newest key belongs to the installation.
create table ticket_key_seals (
    key_id smallint not null references ticket_keys,
    -- The id of the signing key that opens it.
    signing_key_id text not null,
    -- A nonce of 24 bytes and what XChaCha20-Poly1305 made of the secret half.
    sealed bytea not null,
    created_at timestamptz not null,
    primary key (key_id, signing_key_id)
);
