-- Payments at pages of the provider, and attempts that move on to another provider.

-- Where the customer pays; null where it follows from the intent.
alter table payments add column redirect_url text;
-- The provider's id of the money once a customer pays, where it is not the intent's: refunds and
-- disputes name it.
alter table payments add column charge_id text;
-- Calls to create the intent that are under way, or whose outcome is unknown. Only at zero is it
-- certain that the provider has made nothing, so that another may be asked.
alter table payments add column open_calls integer not null default 1;
alter table payments add constraint payments_open_calls check (open_calls >= 0);

-- A hold is extended once, when its customer has to authenticate.
alter table holds add column extended_at timestamptz;

-- Webhooks and comparisons name a payment by its charge; no charge belongs to two payments.
create unique index payments_charge on payments (provider, charge_id) where charge_id is not null;
