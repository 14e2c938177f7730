//! Where requests enter the gateway: sockets, addresses, paths and limits.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`client_ip`] | the address a request comes from, past declared proxies |
//! | [`connections`] | limits on connections, in all and by address |
//! | [`head`] | what is wrong with a request's head before anyone looks at its path |
//! | [`path`] | refuses paths that could be read in two ways |
//! | [`rate_limit`] | limits per address and per place |
//! | [`refused_head`] | the answer to a head that cannot be read |
//! | [`return_target`] | where a fan goes once they are let in |
//! | [`serve`] | serving a router on a listener, with limits per connection |
//! | [`telemetry`] | metric names |
//! | [`write_stall`] | giving up on peers that stop reading |

pub mod client_ip;
pub mod connections;
pub mod head;
mod head_watch;
pub mod path;
pub mod rate_limit;
pub mod refused_head;
pub mod return_target;
pub mod serve;
pub mod telemetry;
pub mod write_stall;
