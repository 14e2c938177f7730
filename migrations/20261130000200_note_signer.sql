-- Which key signs passes, so that a gateway that has only the key before it does not start beside
-- those that have replaced it. Nullable: the versions before wrote none.
alter table ticket_keys
    -- The id of the signing key that the gateway which started last signs with.
    add column signer text;
