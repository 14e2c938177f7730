//! One run: send the fans, watch the room, collect what was seen, audit it, report.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::room::Challenge;
use contract::{Clock, Timestamp};
use futures_util::StreamExt;
use reqwest::Url;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, source_address};
use crate::audit::{audit, unsettled};
use crate::call::Caller;
use crate::cli::{RunOptions, TargetOptions};
use crate::disturbances::Disturbances;
use crate::evidence::{Evidence, FanRecord, RoomTimes, ShopEvidence};
use crate::guard::{admits_buyers, rooms_before};
use crate::life::{live, look};
use crate::limits::{check_sockets, open_files};
use crate::line::LineClient;
use crate::measurements::Measurements;
use crate::ops::{LedgerClient, OpsClient, public_seat_map, public_show};
use crate::outcome::Outcome;
use crate::plan::{FanPlan, PlanSettings, Shares};
use crate::progress::Progress;
use crate::report::{Course, Report};
use crate::sampler::Samples;
use crate::shop::ShopClient;
use crate::world::{Manners, Tally, World};

/// How long fans who are in the middle of something may take to finish after the end.
const FINISH_GRACE: Duration = Duration::from_mins(1);
/// How long all last looks together may take: a gateway that is gone must not hold up the end.
const LAST_LOOK_MAX: Duration = Duration::from_mins(2);
/// Last looks under way at once.
const LOOKS_AT_ONCE: usize = 64;
/// Time between two looks at the ledger while refunds are under way.
const SETTLE_PAUSE: Duration = Duration::from_secs(2);
/// How much older than the run an entry of the ledger may be and still count: clocks differ.
const LEDGER_MARGIN: Duration = Duration::from_mins(1);

/// What a run needs besides its fans.
struct Stage {
    options: RunOptions,
    access: Access,
    ops: OpsClient,
    times: RoomTimes,
    world: Arc<World>,
    booked_before: usize,
    started_at: Timestamp,
}

/// Sends the fans and audits what they saw.
pub(crate) async fn run(
    options: RunOptions,
    clock: Arc<dyn Clock>,
    salt: u64,
    stop: CancellationToken,
    disturbances: &Disturbances,
) -> anyhow::Result<Outcome> {
    let plans = plan(&options)?;
    let stage = Stage::set(options, clock, salt, stop).await?;
    let samples = Samples::default();
    samples.sample_once(&stage.ops).await;
    let over = CancellationToken::new();
    let progress = Progress::new(u64::try_from(plans.len())?);
    let acted = async {
        let acted = stage.act(plans, &progress).await;
        over.cancel();
        acted
    };
    let ((fans, cut_short), (), ()) = tokio::join!(
        acted,
        samples.run(&stage.ops, over.clone()),
        progress.run(&stage.world.tally, &over),
    );
    progress.phase("audit");
    let mut evidence = stage.collect(fans, samples).await?;
    evidence.disturbed = disturbances.noted();
    progress.finish();
    let course = Course {
        room: stage.options.target.room.clone(),
        seed: stage.options.seed,
        started_at: stage.started_at,
        ended_at: stage.world.clock.now(),
        cut_short,
        buyers: stage.buyers(),
        strict: stage.options.strict,
    };
    let world = &stage.world;
    let report = Report::new(course, &world.tally, &world.measurements, audit(&evidence));
    publish(&report, &stage.options)?;
    Ok(if report.kept {
        Outcome::Kept
    } else {
        Outcome::Broken
    })
}

#[expect(clippy::print_stdout, reason = "the report is what the command is for")]
fn publish(report: &Report, options: &RunOptions) -> anyhow::Result<()> {
    println!("{}", report.text());
    if let Some(file) = &options.json {
        fs::write(file, serde_json::to_vec_pretty(report)?)
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Draws this process's fans, if they fit into it.
fn plan(options: &RunOptions) -> anyhow::Result<Vec<FanPlan>> {
    if options.process_index >= options.processes {
        bail!(
            "--process-index counts from 0: with --processes {} it is at most {}",
            options.processes,
            options.processes - 1
        );
    }
    let sockets = options.sockets.min(options.fans);
    check_sockets(u64::from(sockets), options.processes, open_files()?)
        .map_err(anyhow::Error::msg)?;
    let settings = PlanSettings {
        seed: options.seed,
        fans: options.fans,
        sockets,
        arrivals: options.arrivals,
        over: options.over,
        shares: Shares {
            drifters: options.drifters,
            no_shows: options.no_shows,
            double_claims: options.double_claims,
            rejoins: options.rejoins,
            declined_cards: options.declined_cards,
            cancels: options.cancels,
        },
        process_index: options.process_index,
        processes: options.processes,
    };
    Ok(settings.draw())
}

/// A caller, a line and a shop for a target, shared by `run` and `demo`.
pub(crate) struct Venue {
    pub caller: Caller,
    pub line: LineClient,
    pub shop: Option<ShopClient>,
    pub measurements: Arc<Measurements>,
}

impl Venue {
    /// Prepares to call `access`, as process `process_index` of `processes`.
    pub(crate) fn new(
        target: &TargetOptions,
        access: &Access,
        (process_index, processes): (u32, u32),
    ) -> anyhow::Result<Self> {
        let address = access.address()?;
        let source = source_address(address, process_index, processes);
        let spoofs = target.spoof_addresses.unwrap_or(address.ip().is_loopback());
        let measurements = Arc::new(Measurements::new()?);
        let shop = target
            .show
            .clone()
            .map(|show| ShopClient::new(access.url.as_str(), show, target.payment_url.clone()));
        Ok(Self {
            caller: Caller::new(source, spoofs, measurements.clone())?,
            line: LineClient::new(access.url.as_str(), &target.room, address, source),
            shop,
            measurements,
        })
    }
}

impl Stage {
    async fn set(
        options: RunOptions,
        clock: Arc<dyn Clock>,
        salt: u64,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let target = &options.target;
        let access = Access::find(target, &std::env::current_dir()?)?;
        let ops_url = access
            .ops_url
            .as_ref()
            .context("the audit needs --ops-url")?;
        let token = access.token.clone();
        let token = token.context("the audit needs the operators' token: give --token-file")?;
        let desk_token = token.clone();
        let ops = OpsClient::new(ops_url.as_str(), token, target.room.clone())?;
        let room = ops.room().await?;
        if room.settings.challenge != Challenge::None {
            bail!(
                "room {} asks for a proof of work, which simulated fans do not do; \
                set its challenge to none for the run",
                target.room
            );
        }
        let booked_before = booked_before(&options, &access, &ops).await?;
        let venue = Venue::new(target, &access, (options.process_index, options.processes))?;
        let world = World {
            caller: venue.caller,
            line: venue.line,
            shop: venue.shop,
            desk: Some(OpsClient::new(
                ops_url.as_str(),
                desk_token,
                target.room.clone(),
            )?),
            measurements: venue.measurements,
            tally: Tally::default(),
            manners: Manners {
                claim_delay: options.claim_delay,
                think: options.think,
                best_available: options.best_available,
                tickets_max: options.tickets,
            },
            access_code: room.settings.access_codes.first().cloned(),
            buyers_wanted: AtomicU64::new(buyers_of(&options)),
            stop,
            salt,
            clock,
        };
        Ok(Self {
            started_at: world.clock.now(),
            world: Arc::new(world),
            times: RoomTimes {
                claim_window: Duration::from_secs(room.settings.claim_window_seconds),
                absence_timeout: Duration::from_secs(room.settings.absence_timeout_seconds),
            },
            options,
            access,
            ops,
            booked_before,
        })
    }

    /// Fans of this process that are to buy; none where there is nothing to buy.
    fn buyers(&self) -> u64 {
        match &self.options.target.show {
            Some(_) => buyers_of(&self.options),
            None => 0,
        }
    }

    /// Sends the fans and waits for them; also whether some were not done in time.
    async fn act(&self, plans: Vec<FanPlan>, progress: &Progress) -> (Vec<FanRecord>, bool) {
        let world = &self.world;
        let start = Instant::now();
        let deadline = start + self.options.max_duration;
        let abandon = CancellationToken::new();
        let mut fans = JoinSet::new();
        progress.phase("arrivals");
        for plan in plans {
            let arrives = start + plan.arrives;
            let on_time = tokio::select! {
                () = tokio::time::sleep_until(arrives) => arrives <= deadline,
                () = world.stop.cancelled() => false,
            };
            if !on_time {
                break;
            }
            fans.spawn(send(world.clone(), plan, arrives, abandon.clone()));
        }
        progress.phase("waiting");
        let mut records = Vec::with_capacity(fans.len());
        let ended = tokio::select! {
            () = gather(&mut fans, &mut records) => true,
            () = tokio::time::sleep_until(deadline) => false,
            () = world.stop.cancelled() => false,
        };
        if !ended {
            progress.phase("leaving");
            world.stop.cancel();
            let finished = tokio::time::timeout(FINISH_GRACE, gather(&mut fans, &mut records));
            if finished.await.is_err() {
                abandon.cancel();
                gather(&mut fans, &mut records).await;
            }
        }
        progress.phase("last look");
        let looks = records.iter_mut().map(|record| look(world, record));
        let looked = futures_util::stream::iter(looks)
            .buffer_unordered(LOOKS_AT_ONCE)
            .for_each(|()| std::future::ready(()));
        if tokio::time::timeout(LAST_LOOK_MAX, looked).await.is_err() {
            tracing::warn!("not every place could be looked at in time");
        }
        (records, !ended)
    }

    async fn collect(&self, fans: Vec<FanRecord>, samples: Samples) -> anyhow::Result<Evidence> {
        let log = self
            .ops
            .admissions()
            .await
            .context("cannot read the admission log")?;
        let mut evidence = Evidence {
            fans,
            log,
            samples: samples.take(),
            shop: None,
            ledger: Ok(Vec::new()),
            server: Err("it was not asked".to_owned()),
            times: self.times,
            disturbed: Vec::new(),
        };
        let until = Instant::now() + self.options.settle;
        loop {
            // The map comes last: payments that were open may have become bookings meanwhile.
            evidence.ledger = self.ledger().await;
            evidence.shop = self.shop_evidence().await?;
            // Refunds that are under way are found by the check too, until they arrive.
            evidence.server = self.ops.check().await.map_err(|error| format!("{error:#}"));
            if !unsettled(&evidence) || Instant::now() >= until {
                return Ok(evidence);
            }
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
    }

    async fn shop_evidence(&self) -> anyhow::Result<Option<ShopEvidence>> {
        let Some(show) = &self.options.target.show else {
            return Ok(None);
        };
        let http = reqwest::Client::new();
        Ok(Some(ShopEvidence {
            booked_before: self.booked_before,
            after: public_seat_map(&http, self.access.url.as_str(), show).await?,
            sole_buyers: self.options.processes == 1 && !self.options.others_buy,
        }))
    }

    async fn ledger(&self) -> Result<Vec<crate::evidence::Intent>, String> {
        let Some(shop) = &self.world.shop else {
            return Err("nothing was bought: no show was named".to_owned());
        };
        let secret = self.options.payment_secret.clone();
        let Some(secret) = secret.or_else(|| self.access.payment_secret.clone()) else {
            return Err("the payment provider's secret is not known: \
                give --payment-secret or ROPELINE_PAYMENT_SECRET"
                .to_owned());
        };
        let Some(provider) = shop.provider() else {
            return Err("no fan got as far as paying".to_owned());
        };
        read_ledger(provider, secret, self.started_at)
            .await
            .map_err(|error| format!("{error:#}"))
    }
}

/// Seats that are booked before the run. Buyers who could buy nothing are not sent.
async fn booked_before(
    options: &RunOptions,
    access: &Access,
    ops: &OpsClient,
) -> anyhow::Result<usize> {
    let Some(show) = &options.target.show else {
        if options.buyers > 0 {
            tracing::warn!("--buyers without --show: nobody buys");
        }
        return Ok(0);
    };
    let http = reqwest::Client::new();
    let url = access.url.as_str();
    if options.buyers > 0 {
        let named = public_show(&http, url, show).await?.room;
        let list = ops.rooms().await?;
        let rooms: Vec<_> = list.rooms.iter().map(|it| &it.settings).collect();
        let before = rooms_before(show, named.as_ref(), &rooms);
        admits_buyers(&options.target.room, show, &before)?;
    }
    Ok(booked(&public_seat_map(&http, url, show).await?))
}

/// This process's part of the buyers.
fn buyers_of(options: &RunOptions) -> u64 {
    let extra = u32::from(options.process_index < options.buyers % options.processes);
    u64::from(options.buyers / options.processes + extra)
}

async fn read_ledger(
    provider: Url,
    secret: String,
    started_at: Timestamp,
) -> anyhow::Result<Vec<crate::evidence::Intent>> {
    let ledger = LedgerClient::new(provider, secret)?;
    ledger.intents(started_at.minus(LEDGER_MARGIN)).await
}

fn booked(map: &contract::booking::SeatMap) -> usize {
    let booked =
        |seat: &&contract::booking::Seat| seat.status == contract::booking::SeatStatus::Booked;
    map.seats.iter().filter(booked).count()
}

/// Lives one fan's life and gives back what they saw, also when it is cut short.
async fn send(
    world: Arc<World>,
    plan: FanPlan,
    arrives: Instant,
    abandon: CancellationToken,
) -> FanRecord {
    let mut record = FanRecord::new(plan.number);
    tokio::select! {
        () = live(&world, &plan, arrives, &mut record) => {}
        () = abandon.cancelled() => {}
    }
    record
}

async fn gather(fans: &mut JoinSet<FanRecord>, records: &mut Vec<FanRecord>) {
    while let Some(ended) = fans.join_next().await {
        match ended {
            Ok(record) => records.push(record),
            Err(error) => tracing::error!("a fan's task failed: {error}"),
        }
    }
}
