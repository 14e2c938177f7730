//! The line, admission and the gate.

pub mod room;
