//! What connections are told, and that they sleep while their fans would see nothing new.

use std::sync::Arc;
use std::time::Duration;

use contract::Clock;
use contract::line::StatusDocument;
use line::policy::place::PlaceToken;
use line::room::Room;
use line::sockets::Socket;
use line::store::Enter;
use tokio::time::timeout;

use super::stage::{Stage, join};

/// In this time several snapshots are read.
const A_WHILE: Duration = Duration::from_secs(5);
const CONNECTIONS_MAX: usize = 5;

/// A connection that has been told how its fan stands.
struct Connection {
    room: Arc<Room>,
    token: PlaceToken,
    socket: Arc<Socket>,
}

impl Connection {
    async fn open(room: &Arc<Room>, token: &PlaceToken) -> Self {
        let socket = room.connect(token, CONNECTIONS_MAX).unwrap();
        let looked = room.look(token, Enter::Return, true).await;
        socket.standing_found(looked.unwrap());
        let connection = Self {
            room: room.clone(),
            token: token.clone(),
            socket,
        };
        connection.news().unwrap();
        while timeout(A_WHILE, connection.socket.changed()).await.is_ok() {
            connection.news();
        }
        connection
    }

    fn news(&self) -> Option<StatusDocument> {
        let (now, standing) = (self.room.parts.clock.now(), self.socket.standing());
        self.room.news(&self.token, &self.socket, standing, now)
    }

    /// What it is told within a while.
    async fn told(&self) -> Option<StatusDocument> {
        timeout(A_WHILE, self.socket.changed()).await.ok()?;
        self.news()
    }
}

/// A room that calls nobody and drops nobody as absent.
fn still() -> Stage {
    Stage::new(|record| {
        record.settings.new_users_per_minute = 0;
        record.settings.absence_timeout_seconds = 3600;
    })
}

/// The fans of a line of three.
async fn three(room: &Room) -> [PlaceToken; 3] {
    [
        join(room, 1).await,
        join(room, 2).await,
        join(room, 3).await,
    ]
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_told_when_its_fan_sees_something_new_and_sleeps_until_then() {
    let mut stage = still();
    let room = stage.gateway();
    let tokens = three(&room).await;
    let second = Connection::open(&room, &tokens[1]).await;
    assert!(timeout(A_WHILE, second.socket.changed()).await.is_err());
    room.leave(tokens[0].place).await.unwrap();
    let status = second.told().await.unwrap();
    assert_eq!(status.users_ahead, Some(0));
    assert!(second.news().is_none(), "told twice");
}

#[tokio::test(start_paused = true)]
async fn whoever_connects_after_all_were_gone_is_told_too() {
    let mut stage = still();
    let room = stage.gateway();
    let tokens = three(&room).await;
    let connection = Connection::open(&room, &tokens[1]).await;
    room.sockets.remove(&connection.socket);
    // The next view finds nobody to tell.
    tokio::time::sleep(A_WHILE).await;
    let connection = Connection::open(&room, &tokens[2]).await;
    room.leave(tokens[0].place).await.unwrap();
    assert_eq!(connection.told().await.unwrap().users_ahead, Some(1));
}

#[tokio::test(start_paused = true)]
async fn each_of_many_connections_is_told_whichever_has_gone() {
    let mut stage = still();
    let room = stage.gateway();
    let first = join(&room, 0).await;
    let mut connections = Vec::new();
    for fan in 1..=200 {
        let token = join(&room, fan).await;
        connections.push(Connection::open(&room, &token).await);
    }
    for gone in connections.extract_if(.., |connection| connection.token.nonce[0] % 3 == 0) {
        assert!(room.sockets.remove(&gone.socket));
    }
    room.leave(first.place).await.unwrap();
    for connection in &connections {
        assert!(connection.told().await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn connections_wake_up_when_the_room_stops() {
    let mut stage = still();
    let room = stage.gateway();
    let token = join(&room, 1).await;
    let connection = Connection::open(&room, &token).await;
    room.stop.cancel();
    timeout(A_WHILE, connection.socket.changed()).await.unwrap();
}
