//! What the gateway keeps in PostgreSQL: rooms, the admission log, the audit log.
//!
//! Every call runs in a task of its own that a caller cannot cancel, see [`Database`].

mod admissions;
mod append;
mod audit;
mod chain;
mod columns;
mod database;
pub mod durable;
mod error;
mod order_keys;
mod outcomes;
mod room_record;
mod rooms;

pub use admissions::{Admission, Admissions};
pub use append::{ADMISSION_BATCH_MAX, AdmissionBatch, Appended};
pub use audit::{AUDIT_PAGE_MAX, Act, Audit, AuditEntry, Conclusion};
pub use chain::{ChainBreak, LogHead, chain_hash, chain_verify};
pub use database::{Database, connect_options, pool_options};
pub use error::RecordsError;
pub use outcomes::{Needed, NotedRoom};
pub use room_record::RoomRecord;
pub use rooms::{CreateOutcome, PutOutcome, RoomChanges, Rooms, SYSTEM_ACTOR};
