//! TLS on the listeners, with curl and openssl.

mod database;
mod handshakes;
mod process;
mod replaced;

use std::path::Path;
use std::process::Output;

use axum::Router;
use axum::routing::get;
use gateway::edge::certificate::PairFiles;
use gateway::edge::reread::Reread;
use gateway::edge::serve::ServeConfig;
use gateway::edge::tls::{Shown, server_config};
use test_support::certificates::Certificates;
use tokio::process::Command;
use web::RequestIds;

use crate::serving::Server;

/// The files of these certificates.
fn pair(certificates: &Certificates) -> PairFiles {
    PairFiles {
        cert: certificates.server(),
        key: certificates.key(),
    }
}

/// A server that speaks TLS with the certificate of these files, which are looked at when the test
/// says so.
fn server(files: PairFiles) -> (Server, Reread) {
    server_with(files, ServeConfig::public("test", RequestIds::new(1)))
}

fn server_with(files: PairFiles, config: ServeConfig) -> (Server, Reread) {
    let shown = Shown::default();
    let config = ServeConfig {
        tls: Some(server_config(&shown).unwrap()),
        ..config
    };
    let mut reread = Reread::new(files, shown, "test");
    assert!(reread.look_once());
    let router = Router::new().route("/", get(async || "here"));
    (Server::start_on_cores(router, config), reread)
}

/// Runs a program to its end, with nothing to read.
async fn ran(program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(arguments).stdin(std::process::Stdio::null());
    let ran = tokio::time::timeout(std::time::Duration::from_secs(30), command.output());
    ran.await
        .unwrap()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// What curl prints of `url`, which it believes by this authority alone.
pub(crate) async fn curl(authority: &Path, url: &str, more: &[&str]) -> String {
    let authority = authority.to_str().unwrap();
    let always = ["-sS", "--max-time", "20", "--cacert", authority, url];
    let ran = ran("curl", &[&always[..], more].concat()).await;
    let (out, err) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{err}");
    out.into_owned()
}
