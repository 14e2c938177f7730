//! Live figures and sessions for the operators' listener, and the gateway's readiness.

use std::sync::Arc;

use contract::room::{LimitedBy, RoomStats};
use contract::{Clock, PlaceId, Problem, RoomId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use line::line_problem;
use line::policy::snapshot::Counts;
use line::policy::wait;
use line::records::{Database, RoomRecord};
use line::room::Room;
use line::rooms::RoomSet;
use tokio_util::sync::CancellationToken;

use crate::key_teller::KeysAdvice;
use crate::line_owner::LineOwner;
use crate::ops::{Changes, Check, Figures, Readiness, Sessions};
use crate::proxy::Proxy;

/// The operators' view of the rooms.
#[derive(Clone)]
pub struct RoomFigures {
    /// The rooms.
    pub rooms: RoomSet,
    /// Their upstreams.
    pub proxy: Arc<Proxy>,
}

impl Figures for RoomFigures {
    fn stats<'a>(&'a self, room: &'a RoomId) -> BoxFuture<'a, Result<Option<RoomStats>, Problem>> {
        async move {
            match self.rooms.get(room) {
                None => Ok(None),
                Some(room) => stats(&room, &self.proxy).await.map(Some),
            }
        }
        .boxed()
    }

    fn has(&self, room: &str) -> bool {
        room.parse()
            .is_ok_and(|room| self.rooms.get(&room).is_some())
    }

    fn has_upstream(&self, label: &str) -> bool {
        self.proxy.has_upstream(label)
    }
}

impl Sessions for RoomFigures {
    fn session_end<'a>(
        &'a self,
        room: &'a RoomId,
        place: &'a PlaceId,
    ) -> BoxFuture<'a, Result<bool, Problem>> {
        async move {
            match self.rooms.get(room) {
                None => Ok(false),
                Some(room) => room.end_session(*place, None).await,
            }
        }
        .boxed()
    }
}

impl Changes for RoomFigures {
    fn apply<'a>(&'a self, room: &'a RoomId, record: Option<&'a RoomRecord>) -> BoxFuture<'a, ()> {
        self.rooms.apply(room, record).boxed()
    }
}

/// Counts are read from the store, rates from this gateway's view.
async fn stats(room: &Room, proxy: &Proxy) -> Result<RoomStats, Problem> {
    let now = room.parts.clock.now();
    let taken = room.parts.store.snapshot_take(&room.store_ref(), now).await;
    let counts = taken.map_err(|error| line_problem(&error))?.counts;
    let rates = room.rates();
    let view = room.view();
    let settings = &room.record().settings;
    let passed = room.unmetered.passed().map(|(_, passed)| passed);
    Ok(RoomStats {
        room: room.id.clone(),
        phase: room.phase(),
        in_line: counts.in_line,
        absent: counts.absent,
        called: counts.called,
        active: counts.active,
        joins_total: counts.joins,
        calls_total: counts.calls,
        claims_total: counts.claims,
        no_shows_total: counts.no_shows,
        sessions_ended_total: counts.ended,
        joins_per_second: rates.joins,
        calls_per_second: rates.calls,
        claims_per_second: rates.claims,
        no_show_share: share(counts),
        standby: room.is_standby() && counts.in_line == 0,
        straight_in_total: counts.straight,
        passed_through_requests: passed.iter().map(|passed| passed.requests).sum(),
        passed_through_passes: passed.iter().map(|passed| passed.passes).sum(),
        entries_per_minute: rates.entries_per_minute,
        show_share: rates.show_share,
        limited_by: view
            .snapshot
            .as_ref()
            .and_then(|last| LimitedBy::read(last.limited_by.as_deref()?)),
        expected_wait_seconds: view
            .pace
            .and_then(|pace| wait::estimate(counts.in_line, pace))
            .map(|wait| wait.p50_seconds),
        actual_wait_seconds: rates.waited_seconds,
        estimate_accuracy: view.snapshot.as_ref().and_then(|last| last.accuracy),
        sockets: u64::try_from(room.sockets.count()).unwrap_or(u64::MAX),
        new_users_per_minute: settings.new_users_per_minute,
        call_batch: settings.call_batch,
        total_active_users: settings.total_active_users,
        addresses: proxy.addresses(&room.target()),
        updated_at: now,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn share(counts: Counts) -> f64 {
    if counts.calls == 0 {
        0.0
    } else {
        counts.no_shows as f64 / counts.calls as f64
    }
}

/// Tells what an operator should mend although this gateway can serve, if there is anything.
pub type Advice = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// The gateway's readiness checks.
pub struct GatewayReadiness {
    /// The store, and the installation that has to own its line.
    pub line: LineOwner,
    /// The rooms, for the skew of their clock.
    pub rooms: RoomSet,
    /// The database.
    pub database: Database,
    /// What is to be known of the signing keys of all gateways.
    pub keys: KeysAdvice,
    /// What is to be known of mail to fans.
    pub mail: Advice,
    /// Cancelled when the process begins to drain.
    pub draining: CancellationToken,
}

impl GatewayReadiness {
    /// A shard of a cluster that is away is told, and takes no gateway out of service: the rooms
    /// of the others go on.
    async fn redis(&self) -> Check {
        // Together, as a shard that hangs takes all the time that there is.
        let (checked, in_part) = tokio::join!(self.line.check(), self.line.serves_in_part());
        let (problem, advice) = match checked {
            Ok(Ok(())) => (None, None),
            Ok(Err(not_ours)) => (Some(not_ours.to_string()), None),
            Err(error) if in_part => (
                None,
                Some(format!("a shard of the Redis Cluster is away: {error}")),
            ),
            Err(error) => (Some(error.to_string()), None),
        };
        Check {
            name: "redis",
            problem,
            advice,
        }
    }
}

impl Readiness for GatewayReadiness {
    fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    fn checks(&self) -> BoxFuture<'_, Vec<Check>> {
        async move {
            let (redis, database) = tokio::join!(self.redis(), self.database.ping());
            vec![
                redis,
                Check {
                    name: "database",
                    problem: database.err().map(|error| error.to_string()),
                    advice: None,
                },
                Check {
                    name: "clock",
                    problem: None,
                    advice: self.rooms.parts().skew.advice(),
                },
                Check {
                    name: "keys",
                    problem: None,
                    advice: self.keys.get(),
                },
                Check {
                    name: "mail",
                    problem: None,
                    advice: (self.mail)(),
                },
                Check {
                    name: "draining",
                    problem: self
                        .draining
                        .is_cancelled()
                        .then(|| "this gateway is shutting down".to_owned()),
                    advice: None,
                },
            ]
        }
        .boxed()
    }
}
