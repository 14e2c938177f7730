-- The highest live order key that any server of the line's store may have given or may still give,
-- and the number of the last server that got a range of them. The next server gets keys above it.
-- The column `order_floor` is what gateways of the version before write; it is dropped later.
alter table rooms
    add column order_reserved bigint not null default 0
        constraint rooms_order_reserved_is_53_bits
        check (order_reserved between 0 and 9007199254740991),
    add column order_term bigint not null default 0
        constraint rooms_order_term_is_not_negative check (order_term >= 0);
