//! Backups of real databases, restores that are interrupted, and what is refused.
//!
//! `with-servers --postgres -- cargo test -p backup --test it` gives them a server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod databases;
mod restores;
