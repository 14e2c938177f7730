//! All shows in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use contract::booking::{City, Show};
use contract::{CityId, RoomId, ShowId, Timestamp};
use sqlx::PgPool;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::actor::Writer;
use super::comparisons::Comparisons;
use super::entry::ShowEntry;
use super::show::LiveShow;
use crate::config::{CHANGES_MISSED_AFTER, HOLD_QUEUE_MAX, SHOWS_READ_AT_ONCE};
use crate::database::{StoreError, Work};
use crate::shows::{LISTED_AFTER_END, SeatFigures, ShowInfo};
use crate::store;
use crate::store::catalogue::{LoadedShow, Which};
use crate::store::seats::SeatReport;

/// Every current show.
#[derive(Clone, Debug, Default)]
struct Shows {
    by_id: HashMap<ShowId, Arc<ShowEntry>>,
    by_no: HashMap<i32, Arc<ShowEntry>>,
}

/// How far the records of changes have been read.
#[derive(Clone, Copy, Debug)]
struct ReadUpTo {
    /// The transaction id where the next read begins.
    next: i64,
    at: Instant,
}

/// The catalogue: a snapshot that is replaced as a whole, so that reads never block. Seats are
/// loaded on demand, and unloaded when many other shows were used since.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    shows: Arc<ArcSwap<Shows>>,
    writer: Writer,
    work: Work,
    pool: PgPool,
    /// One refresh at a time, so that a slow one cannot undo a later one.
    refreshing: Arc<tokio::sync::Mutex<Option<ReadUpTo>>>,
    comparisons: Arc<Mutex<Comparisons>>,
    /// Begins and ends of refreshes: odd while one runs.
    refreshes: Arc<AtomicU64>,
    reads: Arc<Semaphore>,
    uses: Arc<AtomicU64>,
    seats_max: u64,
}

impl Shows {
    fn insert(&mut self, entry: Arc<ShowEntry>) {
        let info = entry.info();
        self.by_no.insert(info.show_no, Arc::clone(&entry));
        self.by_id.insert(info.show_id.clone(), entry);
    }

    fn retain_current(&mut self, now: Timestamp) {
        self.by_id.retain(|_, entry| entry.info().is_current(now));
        self.by_no.retain(|_, entry| entry.info().is_current(now));
    }

    /// Takes over a show from the database. An unchanged show keeps its loaded seats.
    fn renew(&mut self, info: ShowInfo, figures: SeatFigures) {
        match self.by_no.get(&info.show_no) {
            Some(known) if *known.info() == info => known.set_figures(figures),
            _ => self.insert(Arc::new(ShowEntry::new(info, figures))),
        }
    }
}

impl Catalogue {
    pub(crate) fn new(writer: Writer, work: Work, pool: PgPool, seats_max: u64) -> Self {
        Self {
            shows: Arc::default(),
            writer,
            work,
            pool,
            refreshing: Arc::default(),
            comparisons: Arc::default(),
            refreshes: Arc::default(),
            reads: Arc::new(Semaphore::new(SHOWS_READ_AT_ONCE)),
            uses: Arc::default(),
            seats_max,
        }
    }

    /// A current show.
    pub(crate) fn entry(&self, show: &ShowId) -> Option<Arc<ShowEntry>> {
        self.shows.load().by_id.get(show).cloned()
    }

    pub(crate) fn entry_by_no(&self, show_no: i32) -> Option<Arc<ShowEntry>> {
        self.shows.load().by_no.get(&show_no).cloned()
    }

    /// A show with its seats, loading them if needed. One that is not in memory may have been
    /// imported by another process since the last refresh.
    pub(crate) async fn live(&self, show: &ShowId) -> Result<Option<LiveShow>, StoreError> {
        if let Some(entry) = self.entry(show) {
            return self.live_of(&entry).await;
        }
        self.refresh_since(Instant::now()).await?;
        match self.entry(show) {
            Some(entry) => self.live_of(&entry).await,
            None => Ok(None),
        }
    }

    /// A show with its seats, if they are in memory.
    pub(crate) fn live_at_hand(&self, show: &ShowId) -> Option<LiveShow> {
        let entry = self.entry(show)?;
        let live = entry.live()?;
        self.note_use(&entry);
        Some(live)
    }

    /// A show with its seats, even if it is over.
    pub(crate) async fn live_by_no(&self, show_no: i32) -> Result<Option<LiveShow>, StoreError> {
        if let Some(entry) = self.entry_by_no(show_no) {
            return self.live_of(&entry).await;
        }
        // The writer ends when this value is dropped, because nothing can be held any more.
        let loaded = self.read(show_no).await?;
        Ok(loaded.map(|loaded| LiveShow::new(loaded, 1).0))
    }

    /// A show without its seats, even if it is over.
    pub(crate) async fn view(
        &self,
        show: &ShowId,
        now: Timestamp,
    ) -> Result<Option<Show>, StoreError> {
        if let Some(entry) = self.entry(show) {
            return Ok(Some(entry.view(now)));
        }
        let Some((info, figures)) = self.read_entry(show).await? else {
            return Ok(None);
        };
        Ok(Some(info.view(now, figures)))
    }

    async fn live_of(&self, entry: &ShowEntry) -> Result<Option<LiveShow>, StoreError> {
        self.note_use(entry);
        if let Some(live) = entry.live() {
            return Ok(Some(live));
        }
        let _one_reads = entry.reading.lock().await;
        if let Some(live) = entry.live() {
            return Ok(Some(live));
        }
        let before = self.refreshes.load(Ordering::SeqCst);
        let Some(loaded) = self.read(entry.info().show_no).await? else {
            return Ok(None);
        };
        let (show, memory, commands) = LiveShow::new(loaded, HOLD_QUEUE_MAX);
        self.work.start(self.writer.clone().run(memory, commands));
        entry.set_live(Some(show.clone()));
        // A refresh meanwhile may have been told of a change that the read is too early for, and have
        // found nobody with the seats.
        if before % 2 == 1 || self.refreshes.load(Ordering::SeqCst) != before {
            self.comparisons().want(entry.info().show_no);
        }
        self.make_room(entry.info().show_no);
        Ok(Some(show))
    }

    fn comparisons(&self) -> MutexGuard<'_, Comparisons> {
        self.comparisons
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn note_use(&self, entry: &ShowEntry) {
        entry.note_use(self.uses.fetch_add(1, Ordering::Relaxed) + 1);
    }

    async fn read(&self, show_no: i32) -> Result<Option<LoadedShow>, StoreError> {
        // The semaphore is never closed.
        let _permit = self.reads.acquire().await.ok();
        store::catalogue::show(&self.pool, show_no).await
    }

    pub(crate) fn seats_in_memory(&self) -> u64 {
        let shows = self.shows.load();
        let live = shows.by_no.values().filter(|entry| entry.live().is_some());
        live.map(|entry| entry.seat_count()).sum()
    }

    /// Unloads the seats of the least recently used shows until the rest is within the limit.
    /// Waiting commands are still settled: a writer ends only when its queue is empty.
    fn make_room(&self, just_read: i32) {
        let shows = self.shows.load();
        let mut live: Vec<&Arc<ShowEntry>> = shows
            .by_no
            .values()
            .filter(|entry| entry.live().is_some())
            .collect();
        let mut seats: u64 = live.iter().map(|entry| entry.seat_count()).sum();
        if seats <= self.seats_max {
            return;
        }
        live.retain(|entry| entry.info().show_no != just_read);
        live.sort_by_key(|entry| entry.last_use());
        for entry in live {
            if seats <= self.seats_max {
                break;
            }
            seats -= entry.seat_count();
            if let Some(show) = entry.live() {
                entry.set_figures(show.figures());
            }
            entry.set_live(None);
        }
    }

    /// Every show, sorted by start.
    pub(crate) fn all(&self) -> Vec<Arc<ShowEntry>> {
        let mut shows: Vec<_> = self.shows.load().by_id.values().cloned().collect();
        shows.sort_by(|a, b| {
            (a.info().starts_at, &a.info().show_id).cmp(&(b.info().starts_at, &b.info().show_id))
        });
        shows
    }

    /// The cities with shows, sorted by name.
    pub(crate) fn cities(&self, now: Timestamp) -> Vec<City> {
        let mut cities: BTreeMap<(String, CityId), City> = BTreeMap::new();
        for show in self.shows.load().by_id.values() {
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

    /// The shows of a city, filtered by day (at the venue) and query if given, sorted by start;
    /// `None` when the city is unknown.
    pub(crate) fn shows_in(
        &self,
        city: &CityId,
        date: Option<time::Date>,
        query: Option<&str>,
        now: Timestamp,
    ) -> Option<Vec<Show>> {
        let mut all = self.all();
        all.retain(|show| show.info().city.city_id == *city);
        if all.is_empty() {
            return None;
        }
        let query = query.map(str::to_lowercase);
        let day = date.map(|date| date.to_string());
        let wanted = |show: &&Arc<ShowEntry>| {
            day.as_ref().is_none_or(|day| show.info().day() == *day)
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
    pub(crate) fn in_room(&self, room: &RoomId) -> Vec<Arc<ShowEntry>> {
        let shows = self.shows.load();
        let behind = shows.by_id.values();
        behind
            .filter(|show| show.info().room.as_ref() == Some(room))
            .cloned()
            .collect()
    }

    /// Applies new seat states to the shows concerned.
    pub(crate) fn apply(&self, reports: &[SeatReport]) {
        let mut by_show: HashMap<i32, Vec<_>> = HashMap::new();
        for report in reports {
            by_show
                .entry(report.show_no)
                .or_default()
                .push((report.seat_no, report.state));
        }
        for (show_no, reports) in by_show {
            if let Some(show) = self.entry_by_no(show_no).and_then(|entry| entry.live()) {
                show.memory().apply(reports);
            }
        }
    }

    /// Reads one show again at once.
    pub(crate) async fn renew(&self, show: &ShowId, now: Timestamp) -> Result<(), StoreError> {
        let _one_at_a_time = self.refreshing.lock().await;
        if let Some((info, figures)) = self.read_entry(show).await? {
            let mut next = Shows::clone(&self.shows.load());
            next.renew(info, figures);
            next.retain_current(now);
            self.shows.store(Arc::new(next));
        }
        Ok(())
    }

    /// A show from the database.
    pub(crate) async fn info(&self, show: &ShowId) -> Result<Option<ShowInfo>, StoreError> {
        let mut infos = store::catalogue::infos(&self.pool, Which::Id(show)).await?;
        Ok(infos.pop())
    }

    async fn read_entry(
        &self,
        show: &ShowId,
    ) -> Result<Option<(ShowInfo, SeatFigures)>, StoreError> {
        let Some(info) = self.info(show).await? else {
            return Ok(None);
        };
        let figures = store::catalogue::figures(&self.pool, &[info.show_no]).await?;
        let figures = figures.first().map(|(_, figures)| *figures);
        Ok(Some((info, figures.unwrap_or_default())))
    }

    /// Refreshes memory from the database: imported or changed shows, and seats that other
    /// processes sold. Reads only changes since the last refresh, except the first time, after a
    /// long pause, and when the database was reset to an earlier state.
    pub(crate) async fn refresh_once(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut read_up_to = self.refreshing.lock().await;
        self.refresh(&mut read_up_to, now).await
    }

    /// Refreshes memory unless a refresh began at `asked` or later: all who wait share the next one.
    async fn refresh_since(&self, asked: Instant) -> Result<(), StoreError> {
        let mut read_up_to = self.refreshing.lock().await;
        if read_up_to.is_some_and(|known| known.at >= asked) {
            return Ok(());
        }
        self.refresh(&mut read_up_to, self.writer.clock.now()).await
    }

    async fn refresh(
        &self,
        read_up_to: &mut Option<ReadUpTo>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        let done = self.refresh_from(read_up_to, now).await;
        self.refreshes.fetch_add(1, Ordering::SeqCst);
        done
    }

    async fn refresh_from(
        &self,
        read_up_to: &mut Option<ReadUpTo>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let known = read_up_to.filter(|known| known.at.elapsed() < CHANGES_MISSED_AFTER);
        let at = Instant::now();
        if let Some(known) = known {
            let changes = store::catalogue::changes(&self.pool, known.next).await?;
            if changes.next >= known.next {
                self.take_over(&changes.shows, changes.seats, now).await?;
                let next = changes.next;
                *read_up_to = Some(ReadUpTo { next, at });
                return Ok(());
            }
        }
        let next = store::catalogue::changes_begin(&self.pool).await?;
        self.take_over_all(now).await?;
        *read_up_to = Some(ReadUpTo { next, at });
        Ok(())
    }

    /// Reads every show, and the seats of those whose seats are loaded.
    async fn take_over_all(&self, now: Timestamp) -> Result<(), StoreError> {
        let which = Which::EndedAfter(now.minus(LISTED_AFTER_END));
        let infos = store::catalogue::infos(&self.pool, which).await?;
        let show_nos: Vec<i32> = infos.iter().map(|info| info.show_no).collect();
        let figures: HashMap<i32, SeatFigures> = store::catalogue::figures(&self.pool, &show_nos)
            .await?
            .into_iter()
            .collect();
        self.publish(infos, &figures, now);
        self.catch_up(&figures).await
    }

    async fn take_over(
        &self,
        changed: &[i32],
        seats: Vec<(i32, Option<Vec<i32>>)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let shows = self.shows.load_full();
        let is_over = |entry: &ShowEntry| !entry.info().is_current(now);
        let due = self.comparisons().take_due(Instant::now());
        if changed.is_empty() && seats.is_empty() && due.is_empty() {
            if shows.by_no.values().any(|entry| is_over(entry)) {
                self.publish(Vec::new(), &HashMap::new(), now);
            }
            return Ok(());
        }
        let done = self.read_changed(changed, seats, &due, now).await;
        if done.is_err() {
            self.comparisons().want_all(due);
        }
        done
    }

    async fn read_changed(
        &self,
        changed: &[i32],
        seats: Vec<(i32, Option<Vec<i32>>)>,
        compared: &BTreeSet<i32>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let shows = self.shows.load_full();
        let mut counted = compared.clone();
        let infos = match changed {
            [] => Vec::new(),
            some => store::catalogue::infos(&self.pool, Which::These(some)).await?,
        };
        counted.extend(infos.iter().map(|info| info.show_no));
        let mut known_seats = Vec::new();
        for (show_no, seat_nos) in seats {
            let Some(entry) = shows.by_no.get(&show_no) else {
                continue;
            };
            match seat_nos {
                Some(seat_nos) if entry.live().is_some() => known_seats.push((show_no, seat_nos)),
                _ => {
                    counted.insert(show_no);
                }
            }
        }
        let counted: Vec<i32> = counted.into_iter().collect();
        let figures = store::catalogue::figures(&self.pool, &counted).await?;
        let figures = figures.into_iter().collect();
        self.publish(infos, &figures, now);
        for (show_no, seat_nos) in known_seats {
            self.read_seats(show_no, &seat_nos).await?;
        }
        self.catch_up(&figures).await
    }

    /// Reads these seats of a show whose seats are in memory.
    async fn read_seats(&self, show_no: i32, seat_nos: &[i32]) -> Result<(), StoreError> {
        self.comparisons().note(show_no);
        let Some(show) = self.entry_by_no(show_no).and_then(|entry| entry.live()) else {
            // Unloaded meanwhile.
            self.comparisons().want(show_no);
            return Ok(());
        };
        let mut connection = self.pool.acquire().await?;
        let read = store::seats::some(&mut connection, show_no, seat_nos).await;
        apply(&show, show_no, read)
    }

    fn publish(&self, infos: Vec<ShowInfo>, figures: &HashMap<i32, SeatFigures>, now: Timestamp) {
        let mut next = Shows::clone(&self.shows.load());
        for info in infos {
            let figures = figures.get(&info.show_no).copied().unwrap_or_default();
            next.renew(info, figures);
        }
        next.retain_current(now);
        self.shows.store(Arc::new(next));
    }

    /// Reads the seats of loaded shows whose map version differs from the database's.
    async fn catch_up(&self, figures: &HashMap<i32, SeatFigures>) -> Result<(), StoreError> {
        for (show_no, figures) in figures {
            let Some(entry) = self.entry_by_no(*show_no) else {
                continue;
            };
            entry.set_figures(*figures);
            let Some(show) = entry
                .live()
                .filter(|show| show.version() != figures.version)
            else {
                continue;
            };
            let read = store::seats::all(&self.pool, *show_no).await;
            apply(&show, *show_no, read)?;
        }
        Ok(())
    }
}

/// Takes seats over that were read from the database. Invalid data of one show must not keep the
/// others from being read.
fn apply(
    show: &LiveShow,
    show_no: i32,
    read: Result<Vec<SeatReport>, StoreError>,
) -> Result<(), StoreError> {
    match read {
        Ok(reports) => {
            let states = reports.into_iter().map(|it| (it.seat_no, it.state));
            show.memory().apply(states);
            Ok(())
        }
        Err(error) if error.is_of_the_data() => {
            tracing::error!(show_no, %error, "seats cannot be read");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
