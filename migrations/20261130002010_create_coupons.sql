-- Coupons, and who uses them for which hold.

create table coupons (
    coupon_id uuid primary key,
    -- In capital letters, as fans may type it in any.
    code text not null constraint coupons_code unique,
    -- What it takes off: thousandths of a percent, or an amount.
    off_percent integer,
    off_minor bigint,
    -- Of amounts.
    currency text,
    -- The show that it is for; all when null. No foreign key, as everywhere.
    show_no integer,
    -- The categories that it is for; all when empty.
    categories text[] not null default '{}',
    -- The least that the order has to cost without it.
    minimum_minor bigint,
    first_booking boolean not null default false,
    uses_max integer,
    uses_per_customer_max integer,
    valid_from timestamptz,
    valid_until timestamptz,
    -- Reserved and booked uses together.
    use_count integer not null default 0,
    created_at timestamptz not null,
    disabled_at timestamptz,
    constraint coupons_off check (
        (off_percent is not null and off_minor is null and off_percent between 1 and 100000)
        or (off_percent is null and off_minor is not null and off_minor > 0)),
    constraint coupons_currency
        check (currency is not null or (off_minor is null and minimum_minor is null)),
    -- The wall against more uses than there are.
    constraint coupons_uses
        check (use_count >= 0 and (uses_max is null or use_count <= uses_max)),
    constraint coupons_window check (valid_from is null or valid_until is null
        or valid_from < valid_until)
);

-- A use is reserved with the price of a hold, and is released when the hold ends without a booking.
create table coupon_uses (
    use_id uuid primary key,
    coupon_id uuid not null references coupons,
    hold_id uuid not null references holds,
    -- Digest of the address that was booked with.
    customer bytea not null,
    first_booking boolean not null,
    off_minor bigint not null constraint coupon_uses_off check (off_minor >= 0),
    reserved_at timestamptz not null,
    released_at timestamptz
);

-- A hold has one coupon.
create unique index coupon_uses_of_hold on coupon_uses (hold_id) where released_at is null;
-- Nobody has two first bookings.
create unique index coupon_uses_first on coupon_uses (customer)
    where first_booking and released_at is null;
-- How often a customer used a coupon.
create index coupon_uses_of_customer on coupon_uses (coupon_id, customer)
    where released_at is null;

alter table holds
    -- The use that its price contains.
    add column coupon_use_id uuid,
    -- Codes that were tried and do not exist.
    add column coupon_tries integer not null default 0;
