//! All shows in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use contract::booking::{City, Show};
use contract::{CityId, RoomId, ShowId, Timestamp};
use sqlx::PgPool;
use time::{OffsetDateTime, UtcOffset};

use super::actor::Writer;
use super::show::LiveShow;
use crate::config::HOLD_QUEUE_MAX;
use crate::database::{StoreError, Work};
use crate::store;
use crate::store::seats::SeatReport;

/// How long a show stays in memory after it started.
const KEPT_AFTER_START: Duration = Duration::from_hours(24);

/// Every show that is not long over.
#[derive(Debug, Default)]
struct Shows {
    by_id: HashMap<ShowId, LiveShow>,
    by_no: HashMap<i32, LiveShow>,
}

/// The catalogue: a snapshot that is replaced as a whole, so that browsing never waits.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    shows: Arc<ArcSwap<Shows>>,
    writer: Writer,
    work: Work,
    // One refresh at a time, so that a slow one cannot undo a later one.
    refreshing: Arc<tokio::sync::Mutex<()>>,
}

impl Catalogue {
    pub(crate) fn new(writer: Writer, work: Work) -> Self {
        Self {
            shows: Arc::default(),
            writer,
            work,
            refreshing: Arc::default(),
        }
    }

    pub(crate) fn show(&self, show: &ShowId) -> Option<LiveShow> {
        self.shows.load().by_id.get(show).cloned()
    }

    pub(crate) fn show_by_no(&self, show_no: i32) -> Option<LiveShow> {
        self.shows.load().by_no.get(&show_no).cloned()
    }

    /// Every show, by start.
    pub(crate) fn all(&self) -> Vec<LiveShow> {
        let mut shows: Vec<LiveShow> = self.shows.load().by_id.values().cloned().collect();
        shows.sort_by(|a, b| {
            (a.info().starts_at, &a.info().show_id).cmp(&(b.info().starts_at, &b.info().show_id))
        });
        shows
    }

    /// The cities that have shows, by name.
    pub(crate) fn cities(&self, now: Timestamp) -> Vec<City> {
        let mut cities: BTreeMap<(String, CityId), City> = BTreeMap::new();
        for show in self.all() {
            let city = &show.info().city;
            let entry = cities
                .entry((city.name.clone(), city.city_id.clone()))
                .or_insert_with(|| City {
                    city_id: city.city_id.clone(),
                    name: city.name.clone(),
                    country: city.country.clone(),
                    time_zone: city.time_zone.clone(),
                    show_count: 0,
                });
            entry.show_count += u64::from(show.info().starts_at > now);
        }
        cities.into_values().collect()
    }

    /// The shows of a city, of a day and matching a query if given, by start; `None` when the city
    /// is unknown.
    pub(crate) fn shows_in(
        &self,
        city: &CityId,
        date: Option<time::Date>,
        query: Option<&str>,
        now: Timestamp,
    ) -> Option<Vec<Show>> {
        let all: Vec<LiveShow> = self
            .all()
            .into_iter()
            .filter(|show| show.info().city.city_id == *city)
            .collect();
        if all.is_empty() {
            return None;
        }
        let query = query.map(str::to_lowercase);
        let wanted = |show: &&LiveShow| {
            date.is_none_or(|date| day_of(show.info().starts_at) == date)
                && query
                    .as_deref()
                    .is_none_or(|query| show.info().matches(query))
        };
        Some(
            all.iter()
                .filter(wanted)
                .map(|show| show.view(now))
                .collect(),
        )
    }

    /// The shows behind `room`, in no order.
    pub(crate) fn in_room(&self, room: &RoomId) -> Vec<LiveShow> {
        let shows = self.shows.load();
        let behind = shows.by_id.values();
        behind
            .filter(|show| show.info().room.as_ref() == Some(room))
            .cloned()
            .collect()
    }

    /// Tells the shows concerned how seats are now.
    pub(crate) fn apply(&self, reports: &[SeatReport]) {
        let mut by_show: HashMap<i32, Vec<_>> = HashMap::new();
        for report in reports {
            by_show
                .entry(report.show_no)
                .or_default()
                .push((report.seat_no, report.state));
        }
        for (show_no, reports) in by_show {
            if let Some(show) = self.show_by_no(show_no) {
                show.memory().apply(reports);
            }
        }
    }

    /// Brings memory in line with the database: shows that were imported or changed, and seats
    /// that other processes sold.
    pub(crate) async fn refresh_once(
        &self,
        pool: &PgPool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let _one_at_a_time = self.refreshing.lock().await;
        self.refresh_shows(pool, now).await?;
        self.refresh_seats(pool).await
    }

    async fn refresh_shows(&self, pool: &PgPool, now: Timestamp) -> Result<(), StoreError> {
        let revisions = store::catalogue::revisions(pool, now.minus(KEPT_AFTER_START)).await?;
        let current = self.shows.load_full();
        let mut next = Shows::default();
        let mut changed = current.by_no.len() != revisions.len();
        for (show_no, revision) in revisions {
            let known = current
                .by_no
                .get(&show_no)
                .filter(|show| show.info().revision == revision);
            let show = if let Some(show) = known {
                show.clone()
            } else {
                changed = true;
                let Some(loaded) = store::catalogue::show(pool, show_no).await? else {
                    continue;
                };
                let (show, memory, commands) = LiveShow::new(loaded, HOLD_QUEUE_MAX);
                self.work.start(self.writer.clone().run(memory, commands));
                show
            };
            next.by_id.insert(show.info().show_id.clone(), show.clone());
            next.by_no.insert(show_no, show);
        }
        if changed {
            self.shows.store(Arc::new(next));
        }
        Ok(())
    }

    async fn refresh_seats(&self, pool: &PgPool) -> Result<(), StoreError> {
        let shows = self.shows.load_full();
        let show_nos: Vec<i32> = shows.by_no.keys().copied().collect();
        for (show_no, version) in store::seats::versions(pool, &show_nos).await? {
            let Some(show) = shows.by_no.get(&show_no) else {
                continue;
            };
            if u64::try_from(version).is_ok_and(|version| version != show.version()) {
                let reports = store::seats::all(pool, show_no).await?;
                show.memory().apply(
                    reports
                        .into_iter()
                        .map(|report| (report.seat_no, report.state)),
                );
            }
        }
        Ok(())
    }
}

/// The day that a show is listed under, in UTC.
fn day_of(at: Timestamp) -> time::Date {
    OffsetDateTime::from(at).to_offset(UtcOffset::UTC).date()
}
