//! The line, admission and the gate.

pub mod records;
pub mod room;
pub mod store;
