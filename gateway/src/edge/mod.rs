//! Where requests enter the gateway: sockets, addresses, paths and limits.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`client_ip`] | the address a request comes from, past declared proxies |
//! | [`connections`] | limits on connections, in all and by address |
//! | [`cores`] | a runtime and a listener for each core |
//! | [`head`] | checks of a request's head that do not depend on its path |
//! | [`lazy_timer`] | a deadline that moves with every request |
//! | [`path`] | refuses ambiguous paths |
//! | [`presented`] | the tokens and claims that a request carries, read once |
//! | [`rate_limit`] | limits per address and per place |
//! | [`refused_head`] | the answer to a head that cannot be read |
//! | [`return_target`] | where a fan goes after the line |
//! | [`serve`] | serving a router on a listener, with limits per connection |
//! | [`telemetry`] | metric names |
//! | `turned_away` | the response to connections over the limit |
//! | [`write_stall`] | closes connections whose peer stops reading |

pub mod asked_about;
pub mod client_ip;
pub mod connections;
pub mod cores;
pub mod head;
mod head_watch;
pub mod lazy_timer;
pub mod path;
pub mod presented;
pub mod rate_limit;
pub mod refused_head;
pub mod return_target;
pub mod serve;
pub mod sockets;
pub mod telemetry;
mod turned_away;
mod unread;
pub mod write_stall;
