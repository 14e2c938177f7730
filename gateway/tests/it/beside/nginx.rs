//! `examples/nginx`, with a real nginx.

use tokio::process::Command;

use super::shop::Stage;
use crate::browser::chromium::find_program;

#[tokio::test]
async fn nginx_asks_and_keeps_the_gate() {
    let mut stage = Stage::set().await;
    let site = stage.example("nginx/shop.conf", ("listen 80;", "listen {};"));
    stage.write("shop.conf", &site);
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};\n"))
        .concat();
    // One process, so that its end is the end of nginx.
    let around = format!(
        "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log nginx.log;\nevents {{}}\n\
         http {{\naccess_log off;\n{temporary}include shop.conf;\n}}\n"
    );
    let file = stage.write("nginx.conf", &around);
    let mut nginx = Command::new(find_program(&["nginx"]));
    nginx
        .arg("-p")
        .arg(stage.dir())
        .arg("-c")
        .arg(file)
        .args(["-e", "nginx.log"]);
    stage.start(nginx).await;
    stage.keeps_the_gate().await;
}
