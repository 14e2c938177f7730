//! A Redis Cluster of a test's own: three shards, each a primary and a replica.

use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;

use crate::redis_server::{RedisServer, free_port};
use crate::waiting::eventually;

/// Shards of a cluster.
pub const SHARDS: usize = 3;
/// Slots of a cluster.
const SLOTS: u32 = 16_384;
/// Pause before nodes that do not know each other yet are introduced again.
const MEET_AGAIN_AFTER: Duration = Duration::from_secs(3);
/// How long a node may be silent before the others take it for dead, in milliseconds.
const NODE_TIMEOUT: &str = "1000";

/// A cluster. The nodes with the numbers 0, 1 and 2 are the primaries at first, those with 3, 4
/// and 5 their replicas.
pub struct RedisCluster {
    /// The nodes.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts six nodes and waits until they work together.
    pub async fn start() -> Self {
        let nodes = join_all((0..SHARDS * 2).map(|_| node())).await;
        let cluster = Self { nodes };
        cluster.introduce().await;
        cluster.hand_out().await;
        cluster.copies().await;
        cluster
    }

    /// What names it to a gateway: not all of its nodes.
    pub fn urls(&self) -> String {
        let urls = [
            self.nodes[0].url(),
            self.nodes[4].url(),
            self.nodes[2].url(),
        ];
        urls.join(",")
    }

    /// The number of the shard that had `key` at first.
    pub async fn shard_of(&self, key: &str) -> usize {
        let slot = self.slot_of(key).await;
        (0..SHARDS)
            .find(|shard| slot <= last_slot(*shard))
            .expect("below the last")
    }

    /// The slot of `key`.
    pub async fn slot_of(&self, key: &str) -> u32 {
        self.nodes[0].ask(&["CLUSTER", "KEYSLOT", key]).await
    }

    /// A name for a room on each shard.
    pub async fn rooms(&self) -> [String; SHARDS] {
        let mut rooms = [const { String::new() }; SHARDS];
        for number in 0.. {
            let room = format!("room-{number}");
            let shard = self.shard_of(&room).await;
            if rooms[shard].is_empty() {
                rooms[shard] = room;
            }
            if rooms.iter().all(|room| !room.is_empty()) {
                break;
            }
        }
        rooms
    }

    /// The id of a node.
    pub async fn id(&self, node: usize) -> String {
        self.nodes[node].ask(&["CLUSTER", "MYID"]).await
    }

    /// Waits until the replica of `shard` has taken over.
    pub async fn is_taken_over(&self, shard: usize) {
        let replica = &self.nodes[SHARDS + shard];
        eventually("the failover", async || {
            let info: String = replica.ask(&["INFO", "replication"]).await;
            info.contains("role:master").then_some(())
        })
        .await;
    }

    /// Moves the slot of `room` to another shard, key by key; `halfway` runs when half of the
    /// keys have moved, and again when all have and the slot has not.
    pub async fn move_room(&self, room: &str, to: usize, mut halfway: impl AsyncFnMut()) {
        let slot = self.slot_of(room).await.to_string();
        let from = self.shard_of(room).await;
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (source_id, target_id) = (self.id(from).await, self.id(to).await);
        let importing = ["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id];
        target.ask::<()>(&importing).await;
        let migrating = ["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id];
        source.ask::<()>(&migrating).await;
        let mut is_halfway = false;
        loop {
            let listed = ["CLUSTER", "GETKEYSINSLOT", &slot, "4"];
            let keys: Vec<String> = source.ask(&listed).await;
            if keys.is_empty() {
                break;
            }
            let port = target.port().to_string();
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "2000", "KEYS"];
            command.extend(keys.iter().map(String::as_str));
            source.ask::<String>(&command).await;
            if !std::mem::replace(&mut is_halfway, true) {
                halfway().await;
            }
        }
        halfway().await;
        for node in [target, source] {
            let done = ["CLUSTER", "SETSLOT", &slot, "NODE", &target_id];
            node.ask::<()>(&done).await;
        }
    }

    async fn introduce(&self) {
        self.meet().await;
        let mut met_at = Instant::now();
        eventually("the acquaintance", async || {
            for node in &self.nodes {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                if info.contains("cluster_known_nodes:6") {
                    continue;
                }
                // A machine that is busy may take longer than a node waits for another.
                if met_at.elapsed() > MEET_AGAIN_AFTER {
                    self.meet().await;
                    met_at = Instant::now();
                }
                return None;
            }
            Some(())
        })
        .await;
    }

    async fn meet(&self) {
        for node in &self.nodes[1..] {
            let bus: Vec<String> = node.ask(&["CONFIG", "GET", "cluster-port"]).await;
            let port = node.port().to_string();
            let meet = ["CLUSTER", "MEET", "127.0.0.1", &port, &bus[1]];
            self.nodes[0].ask::<()>(&meet).await;
        }
    }

    async fn hand_out(&self) {
        for shard in 0..SHARDS {
            let first = if shard == 0 {
                0
            } else {
                last_slot(shard - 1) + 1
            };
            let (first, last) = (first.to_string(), last_slot(shard).to_string());
            let primary = &self.nodes[shard];
            let add = ["CLUSTER", "ADDSLOTSRANGE", &first, &last];
            primary.ask::<()>(&add).await;
            // Without it the nodes settle by themselves who is ahead, which takes a while.
            let _known: redis::Value = primary.ask(&["CLUSTER", "BUMPEPOCH"]).await;
        }
        for shard in 0..SHARDS {
            let id = self.id(shard).await;
            let replicate = ["CLUSTER", "REPLICATE", &id];
            self.nodes[SHARDS + shard].ask::<()>(&replicate).await;
        }
    }

    async fn copies(&self) {
        for node in &self.nodes {
            eventually("the cluster", async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                let slots: String = node.ask(&["CLUSTER", "NODES"]).await;
                let replicas = slots.matches("slave").count();
                (info.contains("cluster_state:ok") && replicas == SHARDS).then_some(())
            })
            .await;
        }
        for replica in &self.nodes[SHARDS..] {
            eventually("the copy", async || {
                let info: String = replica.ask(&["INFO", "replication"]).await;
                info.contains("master_link_status:up").then_some(())
            })
            .await;
        }
    }
}

async fn node() -> RedisServer {
    let bus = free_port().await.to_string();
    RedisServer::start_with(&[
        "--cluster-enabled",
        "yes",
        "--cluster-port",
        &bus,
        "--cluster-node-timeout",
        NODE_TIMEOUT,
        // A shard that is away takes no others with it.
        "--cluster-require-full-coverage",
        "no",
    ])
    .await
}

fn last_slot(shard: usize) -> u32 {
    let shards = u32::try_from(SHARDS).unwrap();
    let shard = u32::try_from(shard).unwrap();
    SLOTS * (shard + 1) / shards - 1
}
