//! Certificates that the gateway gets and renews by itself, by ACME (RFC 8555).
//!
//! Everything is kept in one directory, also the answers to challenges: gateways that share it share
//! the account and the certificate, answer for each other, and one of them at a time orders. The
//! certificate is taken into use as any other of a file is, by [`crate::edge::reread`].
//!
//! | Module | Subject |
//! | --- | --- |
//! | `authority` | how the authority is reached |
//! | [`challenges`] | what an authority that looks for us finds (HTTP-01) |
//! | [`keeper`] | the loop that orders when it is time |
//! | [`kept`] | the directory |
//! | `order` | one order, from the account to the certificate |
//! | [`schedule`] | when it is time |

mod authority;
pub mod challenges;
pub mod keeper;
pub mod kept;
mod order;
pub mod schedule;

use std::path::PathBuf;

/// What is wanted of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The names that the certificate is for.
    pub domains: Vec<String>,
    /// Whom the authority writes to.
    pub email: Option<String>,
    /// The URL of its directory.
    pub directory: String,
    /// Where account and certificate are kept.
    pub kept_in: PathBuf,
}
