//! `ropeline room watch`: a room's figures, live.
//!
//! [`model`] decides, [`screen`] draws, [`live`] joins them to the terminal and the gateway.
//! Without a terminal the figures come as `lines` instead.

mod figures;
mod lines;
pub mod live;
pub mod model;
pub mod screen;

use crate::args::WatchArgs;
use crate::client::AdminClient;
use crate::console::Console;
use crate::failure::Failure;

/// Runs the command.
pub(crate) async fn run(
    args: &WatchArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<(), Failure> {
    let plain = args.plain || console.is_json() || !console.is_terminal();
    if plain || !console.is_interactive() {
        return lines::run(args, client, console).await;
    }
    live::run(args, client, console).await
}
