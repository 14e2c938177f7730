//! Where requests enter the gateway: sockets, addresses, paths and limits.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`serve`] | serving a router on a listener, with limits per connection |
//! | [`telemetry`] | metric names |
//! | [`write_stall`] | giving up on peers that stop reading |

pub mod serve;
pub mod telemetry;
pub mod write_stall;
