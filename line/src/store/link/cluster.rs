//! The connections to the nodes of a Redis Cluster.
//!
//! Each node has a connection of its own, and what one node does delays nobody at another: a
//! node that hangs or dies takes its own rooms with it until a replica has taken over, and no
//! others. Which node has which slots is read in a task, never while a command waits for it,
//! but for the first time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, select_ok};
use redis::aio::ConnectionManager;
use redis::{
    Client, Cmd, ConnectionInfo, ErrorKind, Pipeline, RedisError, RedisResult, ServerErrorKind,
    Value,
};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::address::{at, host_and_port};
use super::connections::{Connections, send};
use super::limits::{LOOK_PAUSE, RESPONSE_TIMEOUT};
use super::slots::{Node, Sight, SlotMap, freshest};

/// How often the nodes are asked for their slots while nothing is wrong.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Longest wait for what a node says of the slots.
const LOOK_MAX: Duration = Duration::from_millis(300);
/// Pause before a command is sent again whose keys are on their way to another node.
const MOVING_PAUSE: Duration = Duration::from_millis(20);
/// How long a command is sent after its keys.
const REDIRECTED_MAX: Duration = RESPONSE_TIMEOUT;

/// The connections to the nodes of a cluster.
pub(super) struct ClusterLink {
    cluster: Arc<Cluster>,
    _following: AbortOnDropHandle<()>,
}

/// The map, or why there is none; `None` before the nodes were asked.
type Found = Option<RedisResult<Arc<SlotMap>>>;

struct Cluster {
    /// The nodes that were configured. The others are reached in the same way.
    seeds: Vec<ConnectionInfo>,
    connections: Mutex<HashMap<Node, Connections>>,
    found: watch::Sender<Found>,
    /// Told when the map may be out of date.
    doubt: Notify,
}

/// Where a command goes next.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Next {
    /// To the node that has the slot.
    Owner,
    /// To the node that has the slot, after a pause: some keys are here, some there.
    OwnerLater,
    /// To a node that is getting the slot and already has the keys.
    Asking(Node),
}

/// A node and some of the slots that it has.
pub(in crate::store) struct Shard {
    /// The connection to it.
    pub(in crate::store) connection: ConnectionManager,
    /// Which of the slots that were asked about are its own, by their index.
    pub(in crate::store) members: Vec<usize>,
}

impl ClusterLink {
    /// Begins to look for the nodes.
    pub(super) fn open(seeds: Vec<ConnectionInfo>) -> RedisResult<Self> {
        // An address that can never be used is refused at once.
        for seed in &seeds {
            Client::open(seed.clone())?;
        }
        let cluster = Arc::new(Cluster {
            seeds,
            connections: Mutex::default(),
            found: watch::Sender::new(None),
            doubt: Notify::new(),
        });
        let following = TaskTracker::new().spawn(follow(cluster.clone()));
        Ok(Self {
            cluster,
            _following: AbortOnDropHandle::new(following),
        })
    }

    /// Sends a command to the node that has `slot`, and after its keys when they are moving.
    pub(super) async fn send(&self, slot: u16, command: &Cmd) -> RedisResult<Value> {
        let cluster = &self.cluster;
        let began = Instant::now();
        let mut next = Next::Owner;
        loop {
            let node = match &next {
                Next::Asking(node) => node.clone(),
                Next::Owner | Next::OwnerLater => cluster.owner(slot).await?,
            };
            let mut connection = cluster.connection(&node)?;
            let sent = match &next {
                Next::Asking(_) => ask(&mut connection, command).await,
                Next::Owner | Next::OwnerLater => send(&mut connection, command).await,
            };
            let Err(error) = sent else {
                return sent;
            };
            let redirected = cluster.redirected(&error, &node);
            match redirected {
                Some(to) if began.elapsed() < REDIRECTED_MAX => next = to,
                _ => return Err(error),
            }
            if next == Next::OwnerLater {
                tokio::time::sleep(MOVING_PAUSE).await;
            }
        }
    }

    /// The nodes that have `slots`, each with the slots it has. Slots that nobody has are left out.
    pub(super) async fn shards(&self, slots: &[u16]) -> RedisResult<Vec<Shard>> {
        let map = self.cluster.map().await?;
        let mut members: HashMap<&Node, Vec<usize>> = HashMap::new();
        for (index, slot) in slots.iter().enumerate() {
            if let Some(node) = map.owner(*slot) {
                members.entry(node).or_default().push(index);
            }
        }
        let shards = members.into_iter().map(|(node, members)| {
            let connection = self.cluster.connection(node)?;
            Ok(Shard {
                connection,
                members,
            })
        });
        shards.collect()
    }

    /// Notes that a node refused a command or did not answer it.
    pub(super) fn doubt(&self) {
        self.cluster.doubt.notify_one();
    }

    /// Whether any node answers.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        let map = self.cluster.map().await?;
        let asked = map.nodes().iter().map(|node| {
            Box::pin(async { send(&mut self.cluster.connection(node)?, &redis::cmd("PING")).await })
        });
        let asked: Vec<_> = asked.collect();
        if asked.is_empty() {
            return Err(nobody());
        }
        select_ok(asked).await.map(drop)
    }
}

impl Cluster {
    /// The map, once the nodes were asked.
    async fn map(&self) -> RedisResult<Arc<SlotMap>> {
        let mut found = self.found.subscribe();
        let found = found.wait_for(Option::is_some).await;
        // The sender is this cluster's own.
        let found = found.ok().and_then(|found| found.clone());
        found.unwrap_or_else(|| Err(nobody()))
    }

    /// The node that has `slot`.
    async fn owner(&self, slot: u16) -> RedisResult<Node> {
        let map = self.map().await?;
        map.owner(slot).cloned().ok_or_else(|| {
            self.doubt.notify_one();
            nobody()
        })
    }

    /// The connection of this thread to `node`.
    fn connection(&self, node: &Node) -> RedisResult<ConnectionManager> {
        let mut connections = self.connections();
        if let Some(known) = connections.get(node) {
            return Ok(known.own());
        }
        let Some(seed) = self.seeds.first() else {
            return Err(nobody());
        };
        let client = Client::open(at(seed, &node.host, node.port))?;
        let known = Connections::open(&client)?;
        let own = known.own();
        connections.insert(node.clone(), known);
        Ok(own)
    }

    /// Draws the conclusions from what `asked` answered: where the command goes next, if anywhere.
    fn redirected(&self, error: &RedisError, asked: &Node) -> Option<Next> {
        let node = || {
            let (address, slot) = error.redirect_node()?;
            Some((Node::read(address, &asked.host)?, slot))
        };
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                let (node, slot) = node()?;
                self.moved(slot, &node);
                self.doubt.notify_one();
                Some(Next::Owner)
            }
            ErrorKind::Server(ServerErrorKind::Ask) => Some(Next::Asking(node()?.0)),
            ErrorKind::Server(ServerErrorKind::TryAgain) => Some(Next::OwnerLater),
            ErrorKind::Server(
                ServerErrorKind::ClusterDown
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ReadOnly
                | ServerErrorKind::BusyLoading,
            )
            | ErrorKind::Io => {
                self.doubt.notify_one();
                None
            }
            _ => None,
        }
    }

    fn moved(&self, slot: u16, node: &Node) {
        self.found.send_if_modified(|found| {
            let Some(Ok(map)) = found else {
                return false;
            };
            let is_news = map.owner(slot) != Some(node);
            if is_news {
                *map = Arc::new(map.moved(slot, node.clone()));
            }
            is_news
        });
    }

    /// Asks all nodes for the map, and keeps that of the one which knows best. When none answers,
    /// the map there is stays.
    async fn look(&self) {
        let known = self.found.borrow().clone();
        let known = known.and_then(Result::ok);
        let seeds = self.seeds.iter().filter_map(|seed| {
            let (host, port) = host_and_port(seed)?;
            Some(Node {
                host: host.into(),
                port,
            })
        });
        let nodes = known.iter().flat_map(|map| map.nodes().iter().cloned());
        let nodes: HashSet<Node> = seeds.chain(nodes).collect();
        let sights = join_all(nodes.iter().map(|node| self.sight(node))).await;
        let (sights, errors): (Vec<_>, Vec<_>) = sights.into_iter().partition(Result::is_ok);
        let map = freshest(sights.into_iter().flatten());
        match (map, known) {
            (Some(map), known) => {
                let used: HashSet<&Node> = nodes.iter().chain(map.nodes()).collect();
                self.connections().retain(|node, _| used.contains(node));
                if known.as_deref() != Some(&map) {
                    tracing::debug!(nodes = map.nodes().len(), "slots of the cluster read");
                    self.found.send_replace(Some(Ok(Arc::new(map))));
                }
            }
            (None, Some(_)) => tracing::debug!("no node tells of the slots of the cluster"),
            (None, None) => {
                let error = errors.into_iter().find_map(Result::err);
                self.found
                    .send_replace(Some(Err(unreached(error.as_ref()))));
            }
        }
    }

    /// The cluster as `node` sees it.
    async fn sight(&self, node: &Node) -> RedisResult<Sight> {
        let mut question = redis::pipe();
        question.cmd("CLUSTER").arg("INFO");
        question.cmd("CLUSTER").arg("SLOTS");
        let mut connection = self.connection(node)?;
        let answer = question.query_async::<(String, Value)>(&mut connection);
        let (info, slots) = tokio::time::timeout(LOOK_MAX, answer)
            .await
            .map_err(|_| RedisError::from((ErrorKind::Io, "no answer in time")))??;
        Sight::read(&info, &slots, &node.host).ok_or_else(|| {
            RedisError::from((
                ErrorKind::UnexpectedReturnType,
                "unreadable slots of the cluster",
            ))
        })
    }

    /// Warns of a cluster that refuses all rooms while one shard fails over.
    async fn warn_of_full_coverage(&self) {
        let mut question = redis::cmd("CONFIG");
        question.arg("GET").arg("cluster-require-full-coverage");
        let Ok(node) = self.owner(0).await else {
            return;
        };
        let Ok(mut connection) = self.connection(&node) else {
            return;
        };
        // A user who may not ask is not told.
        let answer = question.query_async::<Vec<String>>(&mut connection).await;
        if answer.is_ok_and(|answer| answer.last().is_some_and(|value| value == "yes")) {
            tracing::warn!(
                "while one shard of this Redis Cluster fails over, the others refuse their rooms \
                 too: set cluster-require-full-coverage to no"
            );
        }
    }

    /// The map holds no invariant that a panic could break half-way.
    fn connections(&self) -> MutexGuard<'_, HashMap<Node, Connections>> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps the map of `cluster` up to date.
async fn follow(cluster: Arc<Cluster>) {
    let mut is_warned = false;
    loop {
        cluster.look().await;
        if !is_warned && matches!(&*cluster.found.borrow(), Some(Ok(_))) {
            is_warned = true;
            cluster.warn_of_full_coverage().await;
        }
        tokio::time::sleep(LOOK_PAUSE).await;
        // Either is a reason to look again.
        let _doubted = tokio::time::timeout(LOOK_EVERY, cluster.doubt.notified()).await;
    }
}

/// Sends a command to a node that is getting its keys. Both commands go out together, so that
/// nobody else's comes between: the permission is good for the next one only.
async fn ask(connection: &mut ConnectionManager, command: &Cmd) -> RedisResult<Value> {
    let mut both = Pipeline::new();
    both.cmd("ASKING").add_command(command.clone());
    // The answer to the second of the two.
    let mut answers = connection.send_packed_commands(&both, 1, 1).await?;
    answers.pop().unwrap_or(Value::Nil).extract_error()
}

fn nobody() -> RedisError {
    RedisError::from((
        ErrorKind::ClusterConnectionNotFound,
        "no node of the Redis Cluster has this slot",
    ))
}

/// What an operator is told when no node says who has which slots.
fn unreached(error: Option<&RedisError>) -> RedisError {
    RedisError::from((
        ErrorKind::ClusterConnectionNotFound,
        "no node of the Redis Cluster in ROPELINE_REDIS_URL tells of its slots (several URLs mean \
         a cluster; of a single server, name one)",
        error.map(ToString::to_string).unwrap_or_default(),
    ))
}
