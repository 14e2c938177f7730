//! The database goes away and comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fan::SHOW;
use crate::test_shop::TestShop;

/// A cable to the database that can be pulled.
struct Cable {
    address: SocketAddr,
    plugged: watch::Sender<bool>,
}

impl Cable {
    async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (plugged, watched) = watch::channel(true);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let mut watched = watched.clone();
                if !*watched.borrow() {
                    continue;
                }
                let host = host.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect((host, port)).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = watched.wait_for(|plugged| !plugged) => {}
                    }
                });
            }
        });
        Self { address, plugged }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_database_browsing_goes_on_and_selling_says_so_within_a_second() {
    let shop = TestShop::new().await;
    let (host, port) = shop.database.server_address();
    let cable = Cable::to(host, port).await;
    let process = shop.another_process_at(Some(cable.address)).await;
    let fan = shop.fan().at(process.router.clone());
    let hold = fan.held(&["A1"]).await;

    cable.plugged.send_replace(false);
    let asked = Instant::now();
    let refused = fan.hold(&["A2"]).await;
    assert_eq!(
        (refused.status, refused.code()),
        (503, "database-unavailable")
    );
    assert!(refused.headers.contains_key("retry-after"));
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    let asked = Instant::now();
    assert_eq!(fan.get(&hold).await.code(), "database-unavailable");
    assert!(
        asked.elapsed() < Duration::from_secs(1),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(fan.get("/api/v1/cities").await.status, 200);
    assert_eq!(fan.get(SHOW).await.status, 200);
    assert_eq!(fan.seat("A1").await, "HELD");

    cable.plugged.send_replace(true);
    crate::test_shop::eventually("recovery", || async {
        fan.hold(&["A3"]).await.status == 201
    })
    .await;
    assert_eq!(fan.get(&hold).await.status, 200);
    shop.settle().await;
    shop.assert_clean().await;
}
