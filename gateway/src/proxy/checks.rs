//! Asks the addresses of upstreams how they are, again and again, and forgets those that no room names.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use contract::Clock;
use contract::room::UpstreamHealth;
use contract::upstream::Upstream;
use contract::upstreams::Upstreams;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderValue, Request};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::connection::HeadSize;
use super::connector::Connector;
use super::lane::Lanes;
use super::request_body::RequestBody;

/// How often it is looked for what has to be checked.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The addresses of a room's upstream, and how they are to be checked, if they are.
pub type Wanted = (Upstreams, Option<UpstreamHealth>);

/// An address and how it is checked: rooms that have the same checked alike share the checks.
type Key = (Upstream, UpstreamHealth);

/// How the checks of an address have come out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Judged {
    good_in_a_row: u64,
    failed_in_a_row: u64,
    fails: bool,
}

/// What is checked.
struct Checked {
    judged: Judged,
    next: Instant,
    /// A check is underway.
    is_asked: bool,
}

impl Judged {
    /// Takes in a check. Whether the address turned.
    fn note(&mut self, is_good: bool, health: &UpstreamHealth) -> bool {
        if is_good {
            self.failed_in_a_row = 0;
            self.good_in_a_row += 1;
        } else {
            self.good_in_a_row = 0;
            self.failed_in_a_row += 1;
        }
        let turns = if self.fails {
            self.good_in_a_row >= health.healthy_after
        } else {
            self.failed_in_a_row >= health.unhealthy_after
        };
        self.fails ^= turns;
        turns
    }
}

/// Checks what is `wanted` until `stop`, and shows which addresses are up.
pub(super) async fn run(
    connector: Connector,
    lanes: Arc<Lanes>,
    clock: Arc<dyn Clock>,
    wanted: impl Fn() -> Vec<Wanted>,
    stop: CancellationToken,
) {
    let mut checked: HashMap<Key, Checked> = HashMap::new();
    let mut underway: JoinSet<(Key, bool)> = JoinSet::new();
    let mut ticks = tokio::time::interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
            Some(Ok((key, is_good))) = underway.join_next() => {
                note(&mut checked, &lanes, &key, is_good);
                continue;
            }
        }
        let wanted = wanted();
        let now = clock.now();
        for (upstreams, _) in wanted.iter().filter(|(all, _)| all.all().len() > 1) {
            for address in upstreams.all() {
                lanes.of(address).availability().show(now);
            }
        }
        for (upstreams, _) in wanted.iter().filter(|(all, _)| all.all().len() == 1) {
            for address in upstreams.all() {
                lanes.of(address).availability().is_only();
            }
        }
        lanes.keep(wanted.iter().flat_map(|(upstreams, _)| upstreams.all()));
        let keys: HashSet<Key> = wanted.iter().flat_map(keys_of).collect();
        checked.retain(|key, of_key| {
            let is_wanted = keys.contains(key);
            if !is_wanted && of_key.judged.fails {
                lanes.of(&key.0).availability().check_turned(false);
            }
            is_wanted
        });
        let now = Instant::now();
        for key in keys {
            let of_key = checked.entry(key.clone()).or_insert_with(|| Checked {
                judged: Judged::default(),
                next: now,
                is_asked: false,
            });
            if of_key.is_asked || now < of_key.next {
                continue;
            }
            of_key.next = now + Duration::from_secs(key.1.interval_seconds);
            of_key.is_asked = true;
            let connector = connector.clone();
            underway.spawn(async move {
                let is_good = is_well(&connector, &key.0, &key.1).await;
                (key, is_good)
            });
        }
    }
}

/// What is checked for a room. One address is used whatever its checks say, so it is not checked.
fn keys_of((upstreams, health): &Wanted) -> Vec<Key> {
    let addresses = upstreams.all();
    match health {
        Some(health) if addresses.len() > 1 => {
            let keys = addresses.iter().map(|one| (one.clone(), health.clone()));
            keys.collect()
        }
        _ => Vec::new(),
    }
}

fn note(checked: &mut HashMap<Key, Checked>, lanes: &Lanes, key: &Key, is_good: bool) {
    // Nobody wants it checked any more, otherwise.
    let Some(of_key) = checked.get_mut(key) else {
        return;
    };
    of_key.is_asked = false;
    let (address, health) = key;
    if of_key.judged.note(is_good, health) {
        let fails = of_key.judged.fails;
        lanes.of(address).availability().check_turned(fails);
        if fails {
            tracing::warn!(
                upstream = address.url(),
                path = health.path,
                "checks of an address fail"
            );
        } else {
            tracing::info!(upstream = address.url(), "an address is well again");
        }
    }
}

/// Whether `address` answers a check well, in time.
async fn is_well(connector: &Connector, address: &Upstream, health: &UpstreamHealth) -> bool {
    let time = Duration::from_secs(health.timeout_seconds);
    let asking = async {
        let path: PathAndQuery = health.path.parse().ok()?;
        let request = Request::get(http::Uri::from(address.path_of(path).ok()?))
            .header(HOST, address.host())
            .header("user-agent", HeaderValue::from_static("ropeline-check"));
        let (body, progress) = RequestBody::new(Body::empty(), time, false);
        let request = request.body(body).ok()?;
        let mut connection = connector.connect(address, HeadSize::Large).await.ok()?;
        let answer = connection
            .send(request, progress.settled(), time)
            .await
            .ok()?;
        let status = answer.status();
        Some(status.is_success() || status.is_redirection())
    };
    let asked = tokio::time::timeout(time, asking).await;
    asked.ok().flatten().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_turns_after_so_many_in_a_row() {
        let health: UpstreamHealth = serde_json::from_str(r#"{"path": "/healthz"}"#).unwrap();
        let mut judged = Judged::default();
        let turns: Vec<_> = [
            false, false, true, false, false, false, true, false, true, true,
        ]
        .iter()
        .map(|is_good| judged.note(*is_good, &health))
        .collect();
        let expected = [
            false, false, false, false, false, true, false, false, false, true,
        ];
        assert_eq!(turns, expected);
        assert!(!judged.fails);
    }
}
