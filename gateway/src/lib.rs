//! The line, admission and the gate.

pub mod ops;
pub mod records;
pub mod room;
