//! `examples/caddy`, with a real Caddy.

use tokio::process::Command;

use super::shop::Stage;
use crate::browser::chromium::find_program;

#[tokio::test]
async fn caddy_asks_and_keeps_the_gate() {
    let mut stage = Stage::set().await;
    // By address and without certificates.
    let site = stage.example("caddy/Caddyfile", ("\nshop.example.org {", "\nhttp://{} {"));
    let file = stage.write("Caddyfile", &format!("{{\n\tadmin off\n}}\n{site}"));
    let mut caddy = Command::new(find_program(&["caddy"]));
    caddy
        .args(["run", "--adapter", "caddyfile", "--config"])
        .arg(file)
        .env("XDG_DATA_HOME", stage.dir())
        .env("XDG_CONFIG_HOME", stage.dir());
    stage.start(caddy).await;
    stage.keeps_the_gate().await;
}
