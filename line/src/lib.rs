//! The waiting line: who is next, how many are called, and what is kept of it. No HTTP.
//!
//! [`policy`] decides and does no input or output. [`store`] is the live line in Redis,
//! [`records`] is what lasts in PostgreSQL; both are ports with a model in memory beside them.
//! Each room has three tasks: [`leader`] calls visitors, under a lease; [`follower`] makes the
//! view that fans are shown; [`door`] lets them in. While nobody is in a room they [`rest`].
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`absences`] | whose connection closed, until the store is told |
//! | `broadcast` | tells connections that what their fans see has changed |
//! | [`core_thread`] | the threads that serve visitors, and what each has for itself |
//! | [`door`] | the queue of visitors on their way into the store |
//! | [`doorkeeper`] | the tasks that let them in, in batches |
//! | `endings` | who waits for the end of which session |
//! | `error` | what failed, for background work and for fans |
//! | [`fail_open`] | what a room lets through while its line cannot be used |
//! | [`follower`] | reads snapshots and notices, and makes the room's view |
//! | [`leader`] | calls visitors: one tick at a time, under the room's lease |
//! | [`live_keys`] | which keys the store may give to those who join |
//! | [`meters`] | metrics of a room |
//! | `opening` | opening a room once |
//! | `parts` | what all rooms of this gateway share |
//! | [`passes`] | mints passes for admissions |
//! | [`policy`] | decisions, pure |
//! | [`presence`] | tells the store who is here and who is gone, under a lease |
//! | [`pruning`] | forgets what became of old admissions |
//! | `randomness` | one seeded stream for the process |
//! | [`rebuild`] | makes a room in the store from the durable records |
//! | [`records`] | rooms, the admission log and the audit log in PostgreSQL |
//! | [`rest`] | whether a room rests, because nobody is there |
//! | [`room`] | one room on this gateway |
//! | [`rooms`] | the rooms there are, kept up to date |
//! | [`rounds`] | looks after the rooms that rest |
//! | `session_check` | what a pass is worth: asks the store, prolongs |
//! | [`session_end`] | waiting for the end of a session |
//! | [`sessions`] | who is inside, as far as this gateway knows |
//! | [`skew`] | how far this gateway's clock is from the store's |
//! | [`sockets`] | the connections whose fans wait on this gateway |
//! | [`standby`] | the queue of visitors who may go straight in |
//! | [`straight_in`] | the task that lets them in, while nobody waits |
//! | [`store`] | the live line: the port, Redis, and the model in memory |
//! | [`target`] | where requests to a room's part of the site go |
//! | [`telemetry`] | metric names |
//! | [`unmetered`] | what is let through without a limit, counted by why |
//! | `unmetered_log` | writes that to the audit log |
//! | [`visitor`] | join, look, claim, leave: what a visitor can do |

pub mod absences;
mod broadcast;
pub mod core_thread;
pub mod door;
pub mod doorkeeper;
mod endings;
mod error;
pub mod fail_open;
pub mod follower;
pub mod leader;
pub mod live_keys;
pub mod meters;
mod opening;
mod parts;
pub mod passes;
pub mod policy;
pub mod presence;
pub mod pruning;
mod randomness;
pub mod rebuild;
pub mod records;
pub mod rest;
pub mod room;
pub mod rooms;
pub mod rounds;
mod session_check;
pub mod session_end;
pub mod sessions;
pub mod skew;
pub mod sockets;
pub mod standby;
pub mod store;
pub mod straight_in;
pub mod target;
pub mod telemetry;
pub mod unmetered;
mod unmetered_log;
pub mod visitor;

pub use error::{WorkError, line_problem};
pub use parts::{Parts, StockSource, UpstreamHealth};
pub use randomness::Randomness;
