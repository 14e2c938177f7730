//! A gentle stream of fans, so that a demonstration's line moves.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use contract::Clock;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::cli::DemoOptions;
use crate::evidence::FanRecord;
use crate::life::live;
use crate::outcome::Outcome;
use crate::patience::think;
use crate::plan::{FanPlan, Presence, Shares};
use crate::progress::LINE_PERIOD;
use crate::run::Venue;
use crate::world::{Manners, Tally, World};

/// Share of the fans that hold a socket; the others poll.
const SOCKETS: f64 = 0.7;
/// Mean time until a fan who loses patience leaves.
const PATIENCE: Duration = Duration::from_mins(3);
/// How long fans may take to finish after the end.
const FINISH_GRACE: Duration = Duration::from_secs(8);
/// How fans behave: some ignore their call, some have no money, nobody probes anything.
const SHARES: Shares = Shares {
    drifters: 0.0,
    no_shows: 0.03,
    double_claims: 0.0,
    rejoins: 0.0,
    declined_cards: 0.1,
    cancels: 0.0,
};

/// Sends fans until the time is over or `stop`.
pub(crate) async fn demo(
    options: DemoOptions,
    clock: Arc<dyn Clock>,
    salt: u64,
    stop: CancellationToken,
) -> anyhow::Result<Outcome> {
    let access = Access::find(&options.target, &std::env::current_dir()?)?;
    let venue = Venue::new(&options.target, &access, (0, 1))?;
    let world = Arc::new(World {
        caller: venue.caller,
        line: venue.line,
        shop: venue.shop,
        desk: None,
        measurements: venue.measurements,
        tally: Tally::default(),
        manners: Manners {
            claim_delay: Duration::from_secs(10),
            think: options.think,
            best_available: 0.5,
            tickets_max: 4,
        },
        access_code: None,
        buyers_wanted: AtomicU64::new(0),
        stop,
        salt,
        clock,
    });
    let mut fans = JoinSet::new();
    let until = options.lasts.map(|lasts| Instant::now() + lasts);
    stream(&options, &world, &mut fans, until).await;
    world.stop.cancel();
    let finish = async { while fans.join_next().await.is_some() {} };
    if tokio::time::timeout(FINISH_GRACE, finish).await.is_err() {
        tracing::info!("some fans did not finish in time");
    }
    fans.shutdown().await;
    tracing::info!("demo over: {}", world.tally.line());
    Ok(Outcome::Kept)
}

/// Lets fans arrive at random, at the mean rate asked for, and tells how it goes.
async fn stream(
    options: &DemoOptions,
    world: &Arc<World>,
    fans: &mut JoinSet<()>,
    until: Option<Instant>,
) {
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    let between = Duration::from_mins(1) / options.fans_per_minute;
    let mut status = tokio::time::interval(LINE_PERIOD);
    let mut arrives = Instant::now();
    let mut number = 0;
    let over = async {
        match until {
            Some(until) => tokio::time::sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    loop {
        tokio::select! {
            () = world.stop.cancelled() => return,
            () = &mut over => return,
            _ = status.tick() => {
                tracing::info!("{} fans here: {}", fans.len(), world.tally.line());
                for it in world.measurements.codes() {
                    tracing::debug!("{}: {} {}", it.step.title(), it.count, it.code);
                }
            }
            Some(ended) = fans.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a fan's task failed: {error}");
                }
            }
            () = tokio::time::sleep_until(arrives) => {
                arrives = Instant::now() + think(between, &mut rng);
                if u32::try_from(fans.len()).is_ok_and(|here| here < options.fans_max) {
                    let plan = fan_plan(number, options, &mut rng);
                    number += 1;
                    if rng.random_bool(options.buyers) {
                        // The next one to get in buys: as many buy as if each had drawn a lot.
                        Tally::add(&world.buyers_wanted);
                    }
                    fans.spawn(send(world.clone(), plan));
                }
            }
        }
    }
}

fn fan_plan(number: u32, options: &DemoOptions, rng: &mut ChaCha8Rng) -> FanPlan {
    let presence = if rng.random_bool(SOCKETS) {
        Presence::Socket
    } else {
        Presence::Poll
    };
    let mut plan = SHARES.fan(number, Duration::ZERO, presence, rng);
    let patience = think(PATIENCE, rng);
    plan.patience = rng.random_bool(options.leavers).then_some(patience);
    plan
}

async fn send(world: Arc<World>, plan: FanPlan) {
    let mut record = FanRecord::new(plan.number);
    live(&world, &plan, Instant::now(), &mut record).await;
}
