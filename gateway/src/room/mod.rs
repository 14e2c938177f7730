//! A room's decisions: what it is doing now.

pub mod phase;
