//! Mail to fans.
//!
//! An event in the outbox becomes a notice, once ([`crate::store::notices::collect`]). Any process
//! claims notices that are due, under a lease, composes each from the present state of what it is
//! about, and hands it to the mail server or, without one, writes it to a file.
//!
//! A notice is sent at least once. A mail is doubled only when a process dies, or its database goes
//! away, between the server's answer and the record of it; both copies carry the same Message-ID.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `settings` | where mail goes, and from whom. Pure |
//! | `compose` | messages with their headers. Pure |
//! | `smtp` | the mail server |
//! | `files` | messages as files, when there is no mail server |
//! | `mailer` | one or the other |
//! | `letters` | what a notice says now |
//! | `enclosures` | the files that come with a letter |
//! | `transfer_letters` | what notices about passed-on tickets say |
//! | `sending` | the work on notices |

pub(crate) mod compose;
mod enclosures;
pub(crate) mod files;
mod letters;
mod mailer;
mod sending;
pub(crate) mod settings;
mod smtp;
mod transfer_letters;

pub(crate) use files::MailFile;
pub(crate) use mailer::Mailer;
