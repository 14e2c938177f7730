//! What a join costs Redis.
//!
//! Newcomers go into the store of the line in batches, as the door sends them: small batches when
//! few join at a time, up to the largest there is. Compared is what Redis spends on the two sorted
//! sets in which they stand afterwards, written by bare commands for as many members: no script
//! can be cheaper.

use std::cell::Cell;
use std::path::Path;

use anyhow::Context as _;
use contract::{Clock, PlaceId, SystemClock};
use embedded::{Durability, Servers, Want};
use line::policy::order::{CLOCK_MAX, KeyRange, LIVE_BASE};
use line::store::keys::RoomKeys;
use line::store::live_keys::LiveKeys;
use line::store::redis::{RedisAddress, RedisStore};
use line::store::{Enter, Entry, OnceOpen, RoomRef, RoomStore};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use redis::aio::MultiplexedConnection;
use test_support::making::{Birth, room_make};
use tokio::time::Instant;
use uuid::Uuid;

use crate::processes::cpu_time;
use crate::report::{Report, Versus, progress};
use crate::rounds::{Sample, take_turns};
use crate::stage::Stage;

const ROUNDS: usize = 5;
/// Joins of one round.
const JOINS: u32 = 50_000;

/// Joins of a batch, and the name of the figure.
const IN_MEMORY: [(usize, &str); 3] = [
    (16, "joins in batches of 16, Redis alone"),
    (64, "joins in batches of 64, Redis alone"),
    (512, "joins in batches of 512, Redis alone"),
];
const APPEND_ONLY: [(usize, &str); 3] = [
    (16, "joins in batches of 16, append-only"),
    (64, "joins in batches of 64, append-only"),
    (512, "joins in batches of 512, append-only"),
];

/// Measures the store, without an append-only file and with one.
pub(crate) async fn measure(stage: &Stage, report: &mut Report) -> anyhow::Result<()> {
    let dir = stage.dir();
    measure_on(
        &dir.join("store-memory"),
        Durability::Throwaway,
        IN_MEMORY,
        report,
    )
    .await?;
    measure_on(
        &dir.join("store-durable"),
        Durability::Durable,
        APPEND_ONLY,
        report,
    )
    .await
}

async fn measure_on(
    dir: &Path,
    durability: Durability,
    figures: [(usize, &'static str); 3],
    report: &mut Report,
) -> anyhow::Result<()> {
    let want = Want {
        redis: true,
        postgres: false,
    };
    let servers = Servers::start_with(dir, want, durability).await?;
    let url = servers.redis_url().context("no Redis")?;
    let store = Store::connect(&url).await?;
    for (size, name) in figures {
        let rounds = take_turns(
            ROUNDS,
            async || store.joins(size).await,
            async || store.bare(size).await,
        );
        let versus = Versus {
            name,
            unit: "joins/s",
            theirs: "ZADD of as many members",
        };
        report.rates(versus, rounds.await?);
        let micros = store.own_cpu_micros.take() / f64::from(JOINS);
        progress(&format!("{name}: {micros:.1} µs each at the caller"));
    }
    servers.stop().await;
    Ok(())
}

/// The line on a Redis of its own, and a connection beside it.
struct Store {
    line: RedisStore,
    redis: MultiplexedConnection,
    room: RoomRef,
    keys: RoomKeys,
    /// Rounds so far, each with places of its own.
    rounds: Cell<u64>,
    /// What this process spent on the joins of the last figure, a round.
    own_cpu_micros: Cell<f64>,
}

impl Store {
    async fn connect(url: &str) -> anyhow::Result<Self> {
        let client = redis::Client::open(url)?;
        let mut redis = client.get_multiplexed_async_connection().await?;
        // What is deleted between rounds is not written anew while another round is measured.
        let mut quiet = redis::cmd("CONFIG");
        quiet.arg("SET").arg("auto-aof-rewrite-percentage").arg(0);
        quiet.query_async::<()>(&mut redis).await?;
        let room = RoomRef {
            room: "bench-store".parse()?,
            epoch: 1,
        };
        Ok(Self {
            line: RedisStore::new(&RedisAddress::read(url, None)?, "")?,
            redis,
            keys: RoomKeys::new("", &room.room),
            room,
            rounds: Cell::default(),
            own_cpu_micros: Cell::default(),
        })
    }

    /// A round of newcomers into a room that is made for it.
    async fn joins(&self, size: usize) -> anyhow::Result<Sample> {
        let now = SystemClock.now();
        let birth = Birth {
            name: Uuid::nil(),
            now,
            seq: 0,
            held_until: None,
            is_open: true,
        };
        room_make(&self.line, &self.room, &birth, &[]).await?;
        let range = KeyRange {
            term: 1,
            after: 0,
            limit: CLOCK_MAX,
            is_ahead: false,
        };
        self.line.keys_confirm(&self.room, now, &range, now).await?;
        let entry = |place| Entry {
            place,
            key: None,
            once_open: OnceOpen::Keep,
            enter: Enter::Join,
            connected_to: None,
        };
        let entries: Vec<_> = self.places().into_iter().map(entry).collect();
        let own = [std::process::id()];
        let own_before = cpu_time(&own);
        let sample = self
            .measured(async || {
                for batch in entries.chunks(size) {
                    let entered = self.line.places_enter(&self.room, now, 0, batch).await?;
                    let all = entered.iter().flatten().all(|entered| entered.fresh);
                    anyhow::ensure!(all, "a newcomer had a place already");
                }
                Ok(())
            })
            .await?;
        let own_micros = cpu_time(&own).saturating_sub(own_before).as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a handful")]
        let mean = self.own_cpu_micros.get() + own_micros / ROUNDS as f64;
        self.own_cpu_micros.set(mean);
        self.line.room_forget(&self.room).await?;
        Ok(sample)
    }

    /// The same places put into the sets of the line and of the absent.
    async fn bare(&self, size: usize) -> anyhow::Result<Sample> {
        let now = SystemClock.now();
        let (line, absent) = (self.keys.line(), self.keys.absent());
        let mut redis = self.redis.clone();
        let places = self.places();
        let sample = self
            .measured(async || {
                let mut key = LIVE_BASE;
                for batch in places.chunks(size) {
                    let mut pipe = redis::pipe();
                    pipe.cmd("ZADD").arg(line);
                    for place in batch {
                        key += 1;
                        pipe.arg(key).arg(place.as_bytes());
                    }
                    pipe.ignore().cmd("ZADD").arg(absent);
                    for place in batch {
                        pipe.arg(now.as_ms()).arg(place.as_bytes());
                    }
                    pipe.ignore().query_async::<()>(&mut redis).await?;
                }
                Ok(())
            })
            .await?;
        let mut forget = redis::cmd("DEL");
        forget.arg(line).arg(absent);
        forget.query_async::<()>(&mut redis).await?;
        Ok(sample)
    }

    /// Places that nobody had before.
    fn places(&self) -> Vec<PlaceId> {
        self.rounds.set(self.rounds.get() + 1);
        let mut random = ChaCha8Rng::seed_from_u64(self.rounds.get());
        let places = (0..JOINS).map(|_| PlaceId::from_bytes(random.random()));
        places.collect()
    }

    /// What `work` took, and what Redis spent on it.
    async fn measured(
        &self,
        work: impl AsyncFnOnce() -> anyhow::Result<()>,
    ) -> anyhow::Result<Sample> {
        let cpu_before = self.redis_cpu_micros().await?;
        let began = Instant::now();
        work().await?;
        let took = began.elapsed();
        let cpu = self.redis_cpu_micros().await? - cpu_before;
        Ok(Sample {
            per_second: f64::from(JOINS) / took.as_secs_f64(),
            cpu_micros: cpu / f64::from(JOINS),
        })
    }

    /// CPU time of all threads of Redis, as it tells itself: finer than the kernel's table.
    async fn redis_cpu_micros(&self) -> anyhow::Result<f64> {
        let mut redis = self.redis.clone();
        let mut info = redis::cmd("INFO");
        let text: String = info.arg("cpu").query_async(&mut redis).await?;
        let seconds = |name: &str| -> anyhow::Result<f64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let seconds = line.context("no CPU time in INFO")?.trim();
            Ok(seconds.parse()?)
        };
        Ok((seconds("used_cpu_user:")? + seconds("used_cpu_sys:")?) * 1e6)
    }
}
