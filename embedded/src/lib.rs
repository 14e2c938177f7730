//! Private Redis and PostgreSQL as child processes, with their data in a data directory.
//!
//! With no server URL configured, the gateway starts its own servers here.
//! They listen on free loopback ports, demand generated passwords, and are never shared:
//! a Redis or PostgreSQL that already runs on the machine is neither used nor touched.
//!
//! # Layout
//!
//! - `data_dir`: which directory holds the servers' data, and the claim that keeps a second process out.
//! - `account`: the unprivileged account the servers run as when we are root.
//! - `binaries`: where the servers' programs are.
//! - `child`: one child process: its bounded log, its end, its stop.
//! - `leftover`: servers that outlived a killed parent.
//! - `redis_server`, `postgres_server`: how each server is set up, started and found ready.
//! - `running`: the private PostgreSQL, as another process finds it.
//! - `payment_simulator`: the payment simulator as a child process.
//!
//! # What survives what
//!
//! Children die with the parent, even on `kill -9`: `setpriv --pdeathsig` asks the kernel to stop them.
//! The kernel counts the thread that started the child as its parent, so every child has a thread of its own that lives until the child ends.
//! Where `setpriv` is absent, the next start finds the leftover by its pid file and stops it cleanly.

mod account;
mod binaries;
mod child;
mod data_dir;
mod error;
mod leftover;
pub mod payment_simulator;
mod postgres_server;
mod redis_server;
mod restarts;
mod running;
mod secret;
mod server_life;
mod servers;

pub use binaries::programs_named;
pub use error::StartError;
pub use restarts::RestartsExhausted;
pub use running::{PrivateDatabase, private_database};
pub use server_life::Durability;
pub use servers::{Servers, Want};
