-- In a file of their own: whoever reads or writes notices and mails need not wait for it.

alter table notices validate constraint notices_channel;
alter table notices validate constraint notices_kind;
alter table guest_mails validate constraint guest_mails_kind;
alter table guest_mails validate constraint guest_mails_used;
