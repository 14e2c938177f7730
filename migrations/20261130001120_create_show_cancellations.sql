-- Why a show was cancelled. When it was, `shows.cancelled_at` says; what is left to do, its bookings.
create table show_cancellations (
    show_no integer primary key,
    -- As its fans read it.
    reason text,
    created_at timestamptz not null
);
