//! `examples/haproxy`, with a real HAProxy and the script that it runs.

use tokio::process::Command;

use super::shop::Stage;
use crate::browser::chromium::find_program;

#[tokio::test]
async fn haproxy_asks_by_a_script_and_keeps_the_gate() {
    let mut stage = Stage::set().await;
    let script = include_str!("../../../../examples/haproxy/ropeline.lua");
    let script = stage.write("ropeline.lua", script);
    let settings = stage.example("haproxy/haproxy.cfg", ("bind :80", "bind {}"));
    let there = "/etc/haproxy/ropeline.lua";
    assert!(settings.contains(there));
    let settings = settings.replace(there, script.to_str().unwrap());
    let file = stage.write("haproxy.cfg", &settings);
    let mut haproxy = Command::new(find_program(&["haproxy"]));
    haproxy.arg("-db").arg("-f").arg(file);
    stage.start(haproxy).await;
    stage.keeps_the_gate().await;
}
