//! The line, admission and the gate.

pub mod edge;
pub mod line;
pub mod ops;
pub mod proxy;
pub mod records;
pub mod room;
pub mod store;
pub mod telemetry;
