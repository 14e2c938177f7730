//! The database goes away and comes back.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::fan::SHOW;
use crate::test_shop::TestShop;

/// How the cable to the database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Plugged,
    /// Connections break and new ones are refused.
    Pulled,
    /// Connections stay, and nothing comes through any more.
    Frozen,
}

/// A cable to the database that can be pulled.
struct Cable {
    address: SocketAddr,
    state: watch::Sender<State>,
}

impl Cable {
    async fn to(host: String, port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (state, watched) = watch::channel(State::Plugged);
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move {
            loop {
                let (near, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(near, host.clone(), port, watched.clone()));
            }
        });
        Self { address, state }
    }
}

/// Carries one connection until the cable is pulled, or holds it for ever once it is frozen.
async fn carry(mut near: TcpStream, host: String, port: u16, mut state: watch::Receiver<State>) {
    let now = *state.borrow();
    if now == State::Plugged {
        let mut far = TcpStream::connect((host, port)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => return,
            _ = state.wait_for(|state| *state != State::Plugged) => {}
        }
    }
    // A frozen connection breaks in the end, when the cable works again.
    let _ = state.wait_for(|state| *state != State::Frozen).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_the_database_browsing_goes_on_and_selling_says_so_within_a_second() {
    let shop = TestShop::new().await;
    let (host, port) = shop.database.server_address();
    let cable = Cable::to(host, port).await;
    let process = shop.another_process_at(Some(cable.address)).await;
    let fan = shop.fan().at(process.router.clone());
    let hold = fan.held(&["A1"]).await;

    for outage in [State::Pulled, State::Frozen] {
        cable.state.send_replace(outage);
        for _ in 0..3 {
            let asked = Instant::now();
            let refused = fan.hold(&["A2"]).await;
            assert_eq!(
                (refused.status, refused.code()),
                (503, "database-unavailable")
            );
            assert!(refused.headers.contains_key("retry-after"));
            assert!(asked.elapsed() < Duration::from_secs(1), "{outage:?}");
            let asked = Instant::now();
            assert_eq!(fan.get(&hold).await.code(), "database-unavailable");
            assert!(asked.elapsed() < Duration::from_secs(1), "{outage:?}");
        }
        assert_eq!(fan.get("/api/v1/cities").await.status, 200);
        assert_eq!(fan.get(SHOW).await.status, 200);
        assert_eq!(fan.seat("A1").await, "HELD");
        cable.state.send_replace(State::Plugged);
        crate::test_shop::eventually("recovery", || async { fan.get(&hold).await.status == 200 })
            .await;
        let again = fan.held(&["A3"]).await;
        assert_eq!(fan.delete(&again).await.status, 204);
    }
    shop.settle().await;
    shop.assert_clean().await;
}
