//! Backups of an installation: one file with the database and the keys, and what is restored from
//! it.
//!
//! The database with one signing key of the installation is enough to go on
//! (`docs/decisions/0022-ticket-key-seals-the-installation.md`): rooms and bookings are in it, and
//! the line is made again from its admission log. A backup that nobody could use is not made: it has
//! at least one key that opens what the database has sealed.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `manifest`, `name` | what a backup says about itself; names of files, and which are outdated |
//! | `archive` | the members, their order, sizes and digests |
//! | `encryption` | age around the archive |
//! | `kept` | the files of a data directory that are kept |
//! | `programs`, `address`, `database` | the programs of PostgreSQL, and what they are asked |
//! | `place` | which database: a named one, or the private one of a data directory |
//! | `create`, `restore` | the two ways |
//!
//! Nothing is held in memory but a part of the dump and the small files.

mod address;
mod archive;
mod create;
mod database;
mod encryption;
mod error;
mod kept;
mod manifest;
mod name;
mod place;
mod programs;
mod progress;
mod restore;

pub use address::Address;
pub use create::{Created, Source, create};
pub use encryption::{Opener, Protection};
pub use error::BackupError;
pub use manifest::{Manifest, Member};
pub use place::Place;
pub use progress::Progress;
pub use restore::{Backup, Restored, Verified};
