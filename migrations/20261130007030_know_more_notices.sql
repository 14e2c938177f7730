-- Notices of moved shows, reminders and turns.

alter table notices drop constraint notices_kind;
alter table notices add constraint notices_kind check (kind in (
    'BOOKING_CONFIRMED', 'REFUND_MADE', 'HOLD_EXPIRED', 'TICKETS_CANCELLED', 'ONE_TIME_CODE',
    'BOOKING_LINK', 'TICKETS_RECEIVED', 'TICKETS_PASSED_ON', 'TICKETS_REISSUED',
    'TICKET_WITHDRAWN', 'SHOW_MOVED', 'SHOW_REMINDER', 'YOUR_TURN')) not valid;
