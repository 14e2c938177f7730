//! The line, admission and the gate.

pub mod edge;
pub mod proxy;
