-- Coupons for some kinds of payments, such as the cards of one bank. A payment keeps the kinds that its
-- price is for: money of another kind is not taken, or goes back.

-- contract::coupon::PaymentKind as JSON, in a list; null for all kinds.
alter table coupons add column payment_methods jsonb;
alter table payments add column accepts jsonb;
