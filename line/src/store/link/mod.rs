//! The connection to Redis: to one server, to the master that Redis Sentinel names, or to the
//! nodes of a Redis Cluster.

pub(super) mod address;
mod cluster;
mod connections;
mod limits;
pub(super) mod roots;
mod sentinel;
mod server;
mod slots;

use redis::{Cmd, RedisResult, Value};

use self::address::{Place, RedisAddress};
use self::cluster::ClusterLink;
pub(super) use self::cluster::Shard;
pub(super) use self::limits::{CONNECTION_TIMEOUT, RESPONSE_TIMEOUT};
use self::sentinel::SentinelLink;
use self::server::ServerLink;
pub(super) use self::slots::slot_of;

/// The connection to Redis.
pub(super) struct Link(Kind);

enum Kind {
    /// To one server.
    Server(Box<ServerLink>),
    /// To the master that the sentinels name.
    Sentinel(SentinelLink),
    /// To the nodes of a cluster.
    Cluster(ClusterLink),
}

impl Link {
    /// A connection that is made when it is first used. Needs a runtime for what looks after it.
    pub(super) fn open(address: &RedisAddress) -> RedisResult<Self> {
        Ok(Self(match &address.0 {
            Place::Server(server) => Kind::Server(Box::new(ServerLink::open(server.clone())?)),
            Place::Watched(watched) => Kind::Sentinel(SentinelLink::open(watched)?),
            Place::Cluster(seeds) => Kind::Cluster(ClusterLink::open(seeds.clone())?),
        }))
    }

    /// Sends a command whose keys are in `slot`.
    pub(super) async fn send(&self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        match &self.0 {
            Kind::Server(server) => server.send(command).await,
            Kind::Sentinel(master) => master.send(command).await,
            Kind::Cluster(cluster) => cluster.send(slot, command).await,
        }
    }

    /// The servers that have `slots`.
    pub(super) async fn shards(&self, slots: &[u16]) -> RedisResult<Vec<Shard>> {
        let connection = match &self.0 {
            Kind::Server(server) => server.connection(),
            Kind::Sentinel(master) => master.connection().await?,
            Kind::Cluster(cluster) => return cluster.shards(slots).await,
        };
        let members = (0..slots.len()).collect();
        Ok(vec![Shard {
            connection,
            members,
        }])
    }

    /// Notes that a server did not answer, or refused what it should not: another may have taken
    /// its place.
    pub(super) fn doubt(&self) {
        match &self.0 {
            // There is no other place to look at.
            Kind::Server(_) => {}
            Kind::Sentinel(master) => master.doubt(),
            Kind::Cluster(cluster) => cluster.doubt(),
        }
    }

    /// Whether a server answers: of a cluster, any.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        match &self.0 {
            Kind::Cluster(cluster) => cluster.ping().await,
            Kind::Server(_) | Kind::Sentinel(_) => {
                self.send(0, &redis::cmd("PING")).await.map(drop)
            }
        }
    }
}
