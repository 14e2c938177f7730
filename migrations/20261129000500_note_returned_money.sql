-- Money that went back without us: refunds made at the provider, and disputes.

-- Who made it: we ('OURS'), somebody at the provider ('PROVIDER'), or the customer's bank
-- ('DISPUTE'). Only our own are worked on. One of another origin is SUCCEEDED while the money is
-- gone, and NEEDS_OPS once it came back; then it no longer counts as reserved.
alter table refunds add column origin text not null default 'OURS';
alter table refunds add constraint refunds_origin
    check (origin = 'OURS' or (origin in ('PROVIDER', 'DISPUTE')
        and status in ('SUCCEEDED', 'NEEDS_OPS') and provider_refund_id is not null)) not valid;
alter table refunds validate constraint refunds_origin;
