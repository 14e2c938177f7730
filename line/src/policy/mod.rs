//! The line's decisions, pure: no Redis, no HTTP, no clock of their own.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`access_code`] | whether an access code is one of the room's, however it is typed |
//! | [`accuracy`] | how good the wait estimates were |
//! | [`admission`] | how many to call this tick, and why not more |
//! | [`care`] | how much of the rate an upstream gets, by how it does |
//! | [`credit`] | calls that may be made, as the rate gives them |
//! | [`display`] | what a fan sees of a status, rounded as pages round it |
//! | `latency` | whether an upstream answers slower than usual |
//! | [`fail_mode`] | who is let through while the line cannot be used |
//! | [`order`] | order keys: the draw and the live clock |
//! | [`outcome`] | what became of an admission after it was logged |
//! | [`passes_by`] | why an idle room lets everyone through |
//! | [`phase`] | what the room is doing: settings, manager's word, time |
//! | [`place`] | place tokens, place ids, session ids |
//! | [`prefixes`] | which protected prefix is nearest to a path |
//! | `services` | which rooms stand before one service, and what is protected there |
//! | [`stance`] | where a room stands |
//! | [`sites`] | which room a request belongs to, by its host and its path |
//! | [`shows`] | who shows when called, and how fast the credit of no-shows comes back |
//! | [`situation`] | what a decision on calls is made from |
//! | [`snapshot`] | positions from a snapshot of constant size |
//! | [`standby`] | who goes straight in while nobody waits |
//! | [`status`] | what one visitor is shown |
//! | [`wait`] | the wait estimate |

pub mod access_code;
pub mod accuracy;
pub mod admission;
pub mod care;
pub mod credit;
pub mod display;
pub mod fail_mode;
mod latency;
pub mod order;
pub mod outcome;
pub mod passes_by;
pub mod phase;
pub mod place;
pub mod prefixes;
#[cfg(test)]
mod protection;
mod services;
pub mod shows;
pub mod sites;
pub mod situation;
pub mod snapshot;
pub mod stance;
pub mod standby;
pub mod status;
pub mod wait;
