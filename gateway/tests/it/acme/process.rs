//! The gateway as a process that gets its certificate by itself.

use std::path::Path;

use test_support::certificates::Certificates;
use test_support::database::TestDatabase;
use test_support::redis_server::free_port;

use super::Pebble;
use crate::serving::Server;
use crate::starting::{PROGRAM, Process, home};
use crate::test_app::{World, eventually};
use crate::tls::{curl, ran};

const NAME: &str = "tickets.test";

#[tokio::test]
async fn a_gateway_gets_its_certificate_and_shows_it_after_a_restart_too() {
    let (world, nobody) = (World::create().await, Certificates::make());
    let shop = Server::start(world.upstream()).await;
    let (home, database) = (home(), TestDatabase::create().await);
    let (http, tls) = (free_port().await, free_port().await);
    let mut pebble = Pebble::start(http, 0).await;
    let (origin, authority) = (shop.url(""), pebble.certificates.authority());
    let (listen, tls_listen) = (format!("127.0.0.1:{http}"), format!("127.0.0.1:{tls}"));
    let public = format!("https://{NAME}:{tls}");
    let start = |directory: &str| {
        let more = [
            ("--origin", &*origin),
            ("--listen", &listen),
            ("--tls-listen", &tls_listen),
            ("--tls-redirect", "on"),
            ("--public-url", &public),
            ("--acme-domains", NAME),
            ("--acme-directory", directory),
            ("--ca-file", authority.to_str().unwrap()),
        ];
        let arguments: Vec<_> = more
            .iter()
            .flat_map(|(name, value)| [*name, *value])
            .collect();
        Process::start(Path::new(PROGRAM), home.path(), &database, &arguments)
    };
    let plain = format!("http://{listen}/eras/page");
    let secure = format!("{public}/eras/page");
    let resolve = format!("{NAME}:{tls}:127.0.0.1");
    let page = ["-i", "-H", "accept: text/html"];
    let by_tls = [&page[..], &["--resolve", &resolve]].concat();
    let announced = |gateway: &Process| gateway.announced().map(|_| ());

    // Nobody gives a certificate: TLS is refused, and nobody is sent to it.
    let nowhere = format!("https://127.0.0.1:{}/dir", free_port().await);
    let mut gateway = start(&nowhere);
    gateway.becomes_ready().await;
    let handshake = [
        "-sS",
        "-k",
        "--max-time",
        "20",
        "--resolve",
        &resolve,
        &secure,
    ];
    let refused = ran("curl", &handshake).await;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("alert"),
        "{said}"
    );
    let here = curl(&nobody.authority(), &plain, &page).await;
    assert!(here.starts_with("HTTP/1.1 200 "), "{here}");
    eventually("the failure is told", async || {
        let log = gateway.log();
        log.contains("no certificate was given").then_some(())
    })
    .await;
    gateway.stop().await;
    std::fs::remove_file(home.path().join(".ropeline/admin.json")).unwrap();

    // Pebble does, although everybody else would be sent to TLS.
    let gateway = start(&pebble.url());
    let root = pebble.root().await;
    eventually("a certificate", async || {
        let asked = ["-sS", "--max-time", "5", "--cacert", root.to_str().unwrap()];
        let asked = [&asked[..], &["--resolve", &resolve, &secure]].concat();
        ran("curl", &asked).await.status.success().then_some(())
    })
    .await;
    let said = curl(&root, &secure, &by_tls).await;
    assert!(said.starts_with("HTTP/2 200 "), "{said}");
    let sent = curl(&nobody.authority(), &plain, &page).await;
    assert!(sent.starts_with("HTTP/1.1 308 "), "{sent}");
    eventually("it is announced", async || announced(&gateway)).await;
    let ops = gateway.announced().unwrap()["opsUrl"]
        .as_str()
        .unwrap()
        .to_owned();
    let metrics = curl(&nobody.authority(), &format!("{ops}/metrics"), &[]).await;
    for line in [
        "ropeline_edge_acme_orders_total{outcome=\"given\"} 1",
        "ropeline_edge_tls_certificate_expiry_timestamp_seconds{listener=\"public-tls\"} ",
    ] {
        assert!(metrics.contains(line), "{metrics}");
    }
    gateway.stop().await;

    // It is shown at once by the next, without the authority.
    let file = home.path().join(".ropeline/acme/certificate.pem");
    let before = std::fs::read(&file).unwrap();
    let directory = pebble.url();
    pebble.stop().await;
    let mut gateway = start(&directory);
    gateway.becomes_ready().await;
    let said = curl(&root, &secure, &by_tls).await;
    assert!(said.starts_with("HTTP/2 200 "), "{said}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    gateway.stop().await;
}
