//! Where requests enter the gateway: sockets, addresses, paths and limits.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`write_stall`] | giving up on peers that stop reading |

pub mod write_stall;
