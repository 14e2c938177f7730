-- Which keys each gateway verifies and signs with, so that a step of a key rotation is not taken
-- before the others can follow it. A row a gateway, told every few seconds; one that has ended is
-- kept for a day, because what it signed or published is still about.
create table gateway_keys (
    gateway uuid primary key,
    -- Host and port, for people.
    name text not null,
    -- The id of the key that it signs with.
    signer text not null,
    -- Ids of the keys that it verifies.
    verifies text[] not null,
    -- False once it has ended by itself.
    is_running boolean not null,
    seen_at timestamptz not null
);

-- The secret that place ids, lots and session ids derive from, sealed once for each signing key as
-- the ticket key is. It stays the same while signing keys are replaced.
create table place_key_seals (
    signing_key_id text primary key,
    -- Nonce and ciphertext.
    sealed bytea not null,
    created_at timestamptz not null
);
