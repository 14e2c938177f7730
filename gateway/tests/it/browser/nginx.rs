//! nginx in front of a gateway, with nothing set but where it is.

use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::chromium::find_program;

/// A front that ends when dropped.
pub(super) struct Nginx {
    addr: SocketAddr,
    _process: Child,
    _dir: TempDir,
}

impl Nginx {
    /// Listens at `addr` and passes everything on to `gateway`.
    pub(super) fn start(addr: SocketAddr, gateway: SocketAddr) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .concat();
        // One process, so that its end is the end of nginx.
        let settings = format!(
            "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log nginx.log;\nevents {{}}\n\
             http {{\naccess_log off;\n{temporary}server {{\nlisten {addr};\n\
             location / {{ proxy_pass http://{gateway}; }}\n}}\n}}\n"
        );
        let file = dir.path().join("nginx.conf");
        std::fs::write(&file, settings).unwrap();
        let process = Command::new(find_program(&["nginx"]))
            .arg("-p")
            .arg(dir.path())
            .arg("-c")
            .arg(&file)
            .args(["-e", "nginx.log"])
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            addr,
            _process: process,
            _dir: dir,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

/// Two addresses that nobody listens at. Each has to know the other's before it starts.
pub(super) fn free_addrs() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
