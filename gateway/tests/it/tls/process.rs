//! The gateway as a process with certificates: what fans, shops and operators get of it.

use std::path::Path;

use serde_json::Value;
use test_support::certificates::Certificates;
use test_support::database::TestDatabase;

use super::{curl, ran};
use crate::serving::Server;
use crate::starting::{PROGRAM, Process, home};
use crate::test_app::{World, eventually};

/// Finds a port that nobody has.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn fans_come_by_tls_and_the_shop_and_the_cookies_know() {
    let (world, certificates) = (World::create().await, Certificates::make());
    let shop = Server::start(world.upstream()).await;
    let (home, database) = (home(), TestDatabase::create().await);
    let (tls, ops) = (free_address(), free_address());
    let (cert, key) = (certificates.server(), certificates.key());
    let origin = shop.url("");
    let public = format!("https://{tls}");
    let arguments = [
        "--origin",
        &origin,
        "--tls-cert",
        path(&cert),
        "--tls-key",
        path(&key),
        "--tls-listen",
        &tls,
        "--tls-redirect",
        "on",
        "--trusted-proxies",
        "127.0.0.2/32",
        "--public-url",
        &public,
        "--ops-listen",
        &ops,
        "--ops-tls-cert",
        path(&cert),
        "--ops-tls-key",
        path(&key),
    ];
    let gateway = Process::start(Path::new(PROGRAM), home.path(), &database, &arguments);
    let authority = certificates.authority();
    let told = eventually("it is announced", async || gateway.announced()).await;
    assert_eq!(told["publicUrl"], format!("https://{tls}"));
    assert_eq!(told["opsUrl"], format!("https://{ops}"));
    // `health` finds the operators' listener by TLS too.
    let health = [&arguments[..], &["health"]].concat();
    eventually("it is healthy", async || {
        let asked = ran(PROGRAM, &health).await;
        asked.status.success().then_some(())
    })
    .await;
    let ready = curl(&authority, &format!("https://{ops}/readyz"), &[]).await;
    assert!(serde_json::from_str::<Value>(&ready).is_ok(), "{ready}");

    for version in ["--http2", "--http1.1"] {
        let shown = ["-i", version, "-H", "accept: text/html"];
        let said = curl(&authority, &format!("https://{tls}/eras/page"), &shown).await;
        assert!(said.contains("/eras/page"), "{said}");
        let cookie = said
            .lines()
            .find(|line| line.to_ascii_lowercase().starts_with("set-cookie:"))
            .unwrap_or_else(|| panic!("no pass: {said}"));
        assert!(cookie.contains("__Host-ropeline_pass_"), "{cookie}");
        assert!(cookie.contains("Secure"), "{cookie}");
        assert_eq!(world.last_seen().headers["x-forwarded-proto"], "https");
    }
    // People are sent on, programs are answered.
    let plain = told["listenUrl"].as_str().unwrap();
    let page = ["-i", "-H", "accept: text/html"];
    let said = curl(&authority, &format!("{plain}/eras/page?a=b"), &page).await;
    assert!(said.starts_with("HTTP/1.1 308 "), "{said}");
    assert!(
        said.contains(&format!("https://{tls}/eras/page?a=b")),
        "{said}"
    );
    // Who comes by a proxy may have come to that by TLS, and would be sent round in circles.
    let proxied = [&page[..], &["--interface", "127.0.0.2"]].concat();
    let said = curl(&authority, &format!("{plain}/eras/page"), &proxied).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    let json = ["-i", "-H", "accept: application/json"];
    let said = curl(&authority, &format!("{plain}/_line/v1/jwks.json"), &json).await;
    assert!(said.starts_with("HTTP/1.1 200 "), "{said}");
    gateway.stop().await;
}

#[tokio::test]
async fn what_cannot_be_spoken_is_told_before_anything_starts() {
    let certificates = Certificates::make();
    let other = Certificates::make();
    let (cert, key) = (certificates.server(), certificates.key());
    let (cert, key) = (path(&cert), path(&key));
    let (strange, none) = (other.key(), Path::new("/does/not/exist.pem"));
    let home = tempfile::tempdir().unwrap();
    for (settings, told) in [
        (
            vec![("TLS_CERT", cert)],
            "ROPELINE_TLS_CERT is set without ROPELINE_TLS_KEY",
        ),
        (
            vec![("TLS_CERT", cert), ("TLS_KEY", path(&strange))],
            "ROPELINE_TLS_KEY: ",
        ),
        (
            vec![("TLS_CERT", path(none)), ("TLS_KEY", key)],
            "ROPELINE_TLS_CERT: /does/not/exist.pem",
        ),
        (
            vec![("TLS_CERT", key), ("TLS_KEY", key)],
            "there is no certificate in it",
        ),
        (
            vec![("TLS_CERT", cert), ("TLS_KEY", cert)],
            "there is no private key in it",
        ),
        (
            vec![("TLS_LISTEN", "127.0.0.1:8443")],
            "ROPELINE_TLS_LISTEN: there is no certificate",
        ),
        (
            vec![("ACME_EMAIL", "admin@example.org")],
            "ROPELINE_ACME_EMAIL: no certificate is ordered",
        ),
        (
            vec![("ACME_DOMAINS", "tickets.example.org, *.example.org")],
            "`*.example.org` is for every name below another",
        ),
        (
            vec![("ACME_DOMAINS", "192.0.2.1")],
            "`192.0.2.1` is an address",
        ),
        (
            vec![
                ("ACME_DOMAINS", "tickets.example.org"),
                ("TLS_CERT", cert),
                ("TLS_KEY", key),
            ],
            "ROPELINE_TLS_CERT and ROPELINE_ACME_DOMAINS are both set",
        ),
        (
            vec![
                ("ACME_DOMAINS", "tickets.example.org"),
                ("ACME_DIRECTORY", "http://ca.example.org/dir"),
                ("ACME_EMAIL", "nobody"),
                ("ACME_DIR", cert),
            ],
            "has 3 problems;",
        ),
        (
            vec![
                ("TLS_CERT", cert),
                ("TLS_KEY", key),
                ("TLS_LISTEN", "127.0.0.1:8080"),
            ],
            "ROPELINE_TLS_LISTEN and ROPELINE_LISTEN are both",
        ),
        (
            vec![("TLS_REDIRECT", "perhaps")],
            "ROPELINE_TLS_REDIRECT: `perhaps`",
        ),
        (
            vec![("OPS_TLS_KEY", key)],
            "ROPELINE_OPS_TLS_KEY is set without ROPELINE_OPS_TLS_CERT",
        ),
        (
            vec![("PROXY_PROTOCOL", "v1v2")],
            "name them in ROPELINE_TRUSTED_PROXIES",
        ),
        (
            vec![("PROXY_PROTOCOL", "v3")],
            "`v3` is not one of off, v1v2",
        ),
    ] {
        let mut command = tokio::process::Command::new(PROGRAM);
        command
            .args(["config", "check"])
            .current_dir(home.path())
            .env_clear();
        for (name, value) in &settings {
            command.env(format!("ROPELINE_{name}"), value);
        }
        let checked = command.output().await.unwrap();
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert_eq!(checked.status.code(), Some(64), "{settings:?}: {said}");
        assert!(said.contains(told), "{settings:?}: {said}");
    }
}
