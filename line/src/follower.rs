//! Follows a room: reads notices ten times and the snapshot once a second, and makes the view
//! that every fan of the room on this gateway is shown. Reads do not grow with the fans.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use contract::line::Phase;
use contract::{PlaceId, Timestamp};
use tokio::time::MissedTickBehavior;

use crate::error::WorkError;
use crate::policy::snapshot::{Counts, Snapshot};
use crate::policy::status::RoomView;
use crate::policy::wait::{self, PaceHistory};
use crate::rest::Task;
use crate::room::{Rates, Room, paused_reason};
use crate::sockets::Socket;
use crate::store::{Cursor, ENTER_BATCH_MAX, Enter, Entry, Notice, Standing, StoreError};

/// Time between reads of notices.
const NOTICES_EVERY: Duration = Duration::from_millis(100);
/// Most reads of notices at a time; what is left is read the next time.
const READS_MAX: usize = 20;
/// Over how long rates are counted.
const RATE_WINDOW: Duration = Duration::from_secs(10);
/// Time between snapshots.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// What following one room remembers.
pub struct Follower {
    room: Arc<Room>,
    cursor: Option<Cursor>,
    /// Whether notices may have been missed, so that all connected fans are to be looked after.
    is_put_back_due: bool,
    /// Connected fans who are to be looked after: at most all that are connected here.
    unsure: BTreeSet<PlaceId>,
    /// Places whose calls were put back, and whose claims the store has lost.
    claims_lost: Vec<PlaceId>,
    birth: Option<String>,
    opening: Option<Arc<Snapshot>>,
    history: PaceHistory,
    /// Counts at the snapshots of the last minute.
    counts: VecDeque<(Timestamp, Counts)>,
    /// What the pace was observed under; when it changes, the past says nothing.
    under: Option<(Phase, u64, Option<u64>)>,
    /// Whether the last read found notices.
    has_heard: bool,
    /// Whether the room has rested and no snapshot was read since.
    is_fresh_due: bool,
}

impl Follower {
    /// Follows `room` from now on.
    pub fn new(room: Arc<Room>) -> Self {
        Self {
            room,
            cursor: None,
            is_put_back_due: false,
            unsure: BTreeSet::new(),
            claims_lost: Vec::new(),
            birth: None,
            opening: None,
            history: PaceHistory::default(),
            counts: VecDeque::new(),
            under: None,
            has_heard: false,
            is_fresh_due: false,
        }
    }

    /// Follows until the room ends.
    pub async fn run(mut self) {
        let room = self.room.clone();
        let mut ticks = tokio::time::interval(NOTICES_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = room.stop.cancelled() => return,
                has_rested = room.rest.next_round(&mut ticks) => if has_rested { self.rested() },
                // Calls of this gateway's own leader reach its fans at once.
                () = room.news.notified() => {}
            }
            let round = room.rest.round();
            let read = self.notices_once().await;
            if let Err(error) = &read {
                room.meters.follower_failures.increment(1);
                tracing::debug!(room = %room.id, %error, "notices not read");
            }
            if self.is_due() || self.is_changed() {
                self.view_once().await;
            }
            let is_idle = read.is_ok() && self.is_idle();
            room.rest.note(Task::Follower, round, is_idle);
        }
    }

    /// The pace before a rest says nothing of the line after it.
    fn rested(&mut self) {
        self.history.reset();
        self.is_fresh_due = true;
    }

    /// Whether all is told and shown of a room in which nobody was for as long as rates go back.
    fn is_idle(&self) -> bool {
        let is_told = !self.has_heard
            && !self.is_put_back_due
            && self.unsure.is_empty()
            && self.claims_lost.is_empty();
        let was_empty = match (self.counts.front(), self.counts.back()) {
            (Some((_, first)), Some((_, last))) => first == last && last.is_empty(),
            _ => false,
        };
        is_told && was_empty && !self.is_fresh_due && !self.is_changed()
    }

    /// Whether a newer snapshot should be there: the leader takes one a second, so the next is
    /// looked for when the last is a second old, and fans see it a tenth later. Without one the
    /// view is made anew once a second all the same, because its age tells that it is old.
    fn is_due(&self) -> bool {
        let now = self.room.parts.clock.now();
        let view = self.room.view();
        let next = view
            .snapshot
            .as_ref()
            .map(|last| last.taken_at().plus(SNAPSHOT_EVERY));
        let fresh_wanted = next.is_some_and(|next| now >= next && now.since(next) < SNAPSHOT_EVERY);
        fresh_wanted || self.is_fresh_due || now.since(view.made_at) >= SNAPSHOT_EVERY
    }

    /// Whether an operator or the schedule changed something that the view does not show yet.
    fn is_changed(&self) -> bool {
        let shown = self.room.view();
        let record = self.room.record();
        shown.phase != self.room.phase()
            || *shown.settings != record.settings
            || shown.paused_reason != paused_reason(&record)
            || shown.drawn != record.seed_revealed_at.is_some()
    }

    /// Reads what happened to places and tells the connections and sessions concerned.
    pub async fn notices_once(&mut self) -> Result<(), WorkError> {
        self.has_heard = false;
        let store = self.room.parts.store.clone();
        let at = self.room.store_ref();
        let Some(mut cursor) = self.cursor.clone() else {
            self.cursor = Some(store.notices_end(&at).await?);
            // Whoever connected before may have been called before.
            self.is_put_back_due = true;
            return Ok(self.catch_up().await?);
        };
        for _ in 0..READS_MAX {
            let read = store.notices_after(&at, &cursor).await?;
            if read.has_gap {
                tracing::info!(room = %self.room.id, "notices are gone; looking after all fans");
                self.retell().await;
                self.is_put_back_due = true;
            }
            self.has_heard |= !read.notices.is_empty();
            for notice in &read.notices {
                self.take(notice);
            }
            cursor = read.end;
            self.cursor = Some(cursor.clone());
            if !read.has_more {
                break;
            }
        }
        Ok(self.catch_up().await?)
    }

    fn take(&mut self, notice: &Notice) {
        let room = &self.room;
        room.sessions.notify(notice);
        room.sockets.notify(notice);
        match notice {
            Notice::Called { places, .. } => {
                tracing::debug!(room = %room.id, called = places.len(), "called");
                self.claims_lost.extend(room.sessions.untaken_of(places));
            }
            Notice::Look { places } => {
                let here = places.iter().filter(|place| room.sockets.has(place));
                self.unsure.extend(here);
            }
            Notice::Claimed { .. } | Notice::Ended { .. } => {}
        }
    }

    /// Looks after those whose standing is in doubt. What fails stays to be done.
    async fn catch_up(&mut self) -> Result<(), StoreError> {
        let (room, now) = (&self.room, self.room.parts.clock.now());
        let claims = &self.claims_lost;
        room.sessions.claim_again(room, now, claims).await?;
        self.claims_lost.clear();
        if self.is_put_back_due {
            put_back(&self.room).await?;
            self.is_put_back_due = false;
        }
        while !self.unsure.is_empty() {
            let batch: Vec<_> = self.unsure.iter().take(ENTER_BATCH_MAX).copied().collect();
            look(&self.room, &self.room.sockets.of(&batch)).await?;
            for place in batch {
                self.unsure.remove(&place);
                // Gone while they were said to be present.
                if !self.room.sockets.has(&place) {
                    self.room.absences.note(place);
                }
            }
        }
        Ok(())
    }

    /// Reads the snapshot and shows a new view. With the store away the view keeps the last
    /// numbers, whose age tells that they are old.
    pub async fn view_once(&mut self) {
        let now = self.room.parts.clock.now();
        let read = match self.read().await {
            Ok(read) => read,
            Err(error) => {
                self.room.meters.follower_failures.increment(1);
                tracing::debug!(room = %self.room.id, %error, "snapshot not read");
                None
            }
        };
        let shown = self.room.view();
        let known = shown
            .snapshot
            .as_ref()
            .map(|last| (last.taken_ms, last.birth.clone()));
        let fresh = read
            .as_ref()
            .is_some_and(|read| Some((read.taken_ms, read.birth.clone())) != known);
        // Looked too early: the same numbers again are no reason to wake every connection.
        if !fresh && !self.is_changed() && now.since(shown.made_at) < SNAPSHOT_EVERY {
            return;
        }
        let snapshot = read.map(Arc::new).or_else(|| shown.snapshot.clone());
        if let (true, Some(snapshot)) = (fresh, &snapshot) {
            self.is_fresh_due = false;
            self.note(snapshot);
            if let Err(error) = self.look_after(snapshot).await {
                tracing::warn!(room = %self.room.id, %error, "connected fans not put back yet");
            }
        }
        let view = self.view(snapshot, now);
        self.forecast(&view);
        self.room.view_set(view);
    }

    /// Remembers what the last one in line is told.
    fn forecast(&self, view: &RoomView) {
        let in_line = view.snapshot.as_ref().map(|last| last.counts.in_line);
        if let (Phase::Queueing, Some(in_line), Some(pace)) = (view.phase, in_line, view.pace)
            && let Some(told) = wait::estimate(in_line, pace)
        {
            self.room.forecasts().note(view.made_at, told);
        }
    }

    async fn read(&mut self) -> Result<Option<Snapshot>, WorkError> {
        let at = self.room.store_ref();
        let store = self.room.parts.store.clone();
        let snapshot = store.snapshot_get(&at).await?;
        let drawn = self.room.record().seed_revealed_at.is_some();
        if drawn && self.opening.is_none() {
            self.opening = store.opening_get(&at).await?.map(Arc::new);
        }
        Ok(snapshot)
    }

    fn note(&mut self, snapshot: &Snapshot) {
        let at = snapshot.taken_at();
        let under = (
            self.room.phase(),
            self.room.record().settings.new_users_per_minute,
            self.room.record().settings.call_batch,
        );
        if self.under != Some(under) {
            self.history.reset();
            self.under = Some(under);
        }
        let counts = snapshot.counts;
        self.history.note(at, &counts);
        // Counts that went down are those of a line that was made again.
        if self
            .counts
            .back()
            .is_some_and(|(_, last)| counts.calls < last.calls)
        {
            self.counts.clear();
        }
        if self.counts.back().is_none_or(|(last, _)| at > *last) {
            self.counts.push_back((at, counts));
        }
        let minute_ago = at.minus(Duration::from_mins(1));
        while self.counts.front().is_some_and(|(t, _)| *t < minute_ago) {
            self.counts.pop_front();
        }
        self.room.rates_set(rates(&self.counts));
    }

    /// After the store has lost its memory, puts the fans who are connected here back.
    async fn look_after(&mut self, snapshot: &Snapshot) -> Result<(), StoreError> {
        if self.birth.as_ref() == Some(&snapshot.birth) {
            return Ok(());
        }
        if self.birth.is_some() {
            self.retell().await;
            // From the beginning of the new line: whoever was called since is to be told.
            self.cursor = Some(Cursor::start());
            self.opening = None;
            put_back(&self.room).await?;
        }
        self.birth = Some(snapshot.birth.clone());
        Ok(())
    }

    /// Tells the store what it may have lost, and forgets which sessions were known.
    async fn retell(&self) {
        let room = &self.room;
        room.sessions.retell(room, room.parts.clock.now()).await;
        room.sessions.forget();
    }

    fn view(&self, snapshot: Option<Arc<Snapshot>>, now: Timestamp) -> RoomView {
        let record = self.room.record();
        let calls = match (self.counts.front(), self.counts.back()) {
            (Some((_, first)), Some((_, last))) => last.calls - first.calls,
            _ => 0,
        };
        RoomView {
            room: self.room.id.clone(),
            settings: Arc::new(record.settings.clone()),
            phase: self.room.phase(),
            paused_reason: paused_reason(&record),
            draw_commitment: record.commitment.clone(),
            drawn: record.seed_revealed_at.is_some(),
            snapshot,
            opening: self.opening.clone(),
            pace: self.history.pace(
                record.settings.new_users_per_minute,
                record.settings.call_batch,
            ),
            calls_per_minute: calls,
            stock: self.room.parts.stock.stock(&self.room.id),
            made_at: now,
            found_empty_at: self.room.view().found_empty_at,
            // By the time it is now: reading took its time, and failures were met meanwhile.
            fails_open: self
                .room
                .fails_open_since(self.room.parts.clock.now())
                .is_some(),
        }
    }
}

/// Looks after all fans who are connected here and whose standing may still change.
pub(super) async fn put_back(room: &Room) -> Result<(), StoreError> {
    let sockets = room.sockets.unsettled();
    if !sockets.is_empty() {
        tracing::info!(room = %room.id, places = sockets.len(), "putting connected fans back");
    }
    for batch in sockets.chunks(ENTER_BATCH_MAX) {
        look(room, batch).await?;
    }
    Ok(())
}

/// Says that the fans of these connections are present, puts back who is not there, and
/// tells their connections how they stand.
async fn look(room: &Room, batch: &[Arc<Socket>]) -> Result<(), StoreError> {
    if batch.is_empty() {
        return Ok(());
    }
    let entries: Vec<_> = batch
        .iter()
        .map(|socket| Entry {
            place: socket.place,
            key: Some(match socket.standing() {
                // Newer than the one they connected with, if they left and joined again.
                Standing::Waiting { key } => key,
                _ => socket.key,
            }),
            once_open: socket.once_open(),
            enter: Enter::Look,
            connected_to: Some(room.parts.process),
        })
        .collect();
    let now = room.parts.clock.now();
    let store = &room.parts.store;
    let entered = store
        .places_enter(&room.store_ref(), now, 0, &entries)
        .await?;
    // A look needs no new key, so each of them stands somehow.
    for (socket, entered) in batch.iter().zip(entered) {
        if let Some(entered) = entered {
            room.sockets.tell(socket.place, entered.standing);
            if entered.standing != Standing::Unknown {
                socket.is_present_set();
            }
        }
    }
    Ok(())
}

/// Rates over the last ten seconds, waits over the last minute.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn rates(counts: &VecDeque<(Timestamp, Counts)>) -> Rates {
    let (Some((_, oldest)), Some((end, last))) = (counts.front(), counts.back()) else {
        return Rates::default();
    };
    let since = end.minus(RATE_WINDOW);
    let Some((begin, first)) = counts.iter().find(|(t, _)| *t >= since) else {
        return Rates::default();
    };
    let seconds = end.since(*begin).as_secs_f64();
    let per_second = |from: u64, to: u64| {
        if seconds > 0.0 {
            to.saturating_sub(from) as f64 / seconds
        } else {
            0.0
        }
    };
    let waited = last.waited.saturating_sub(oldest.waited);
    let waited_ms = last.waited_ms.saturating_sub(oldest.waited_ms);
    let entries = last.claims.saturating_sub(oldest.claims);
    let settled = entries + last.no_shows.saturating_sub(oldest.no_shows);
    Rates {
        entries_per_minute: entries,
        show_share: (settled > 0).then(|| entries as f64 / settled as f64),
        joins: per_second(first.joins, last.joins),
        calls: per_second(first.calls, last.calls),
        claims: per_second(first.claims, last.claims),
        waited_seconds: waited_ms
            .checked_div(waited)
            .map(|ms| u32::try_from(ms / 1000).unwrap_or(u32::MAX)),
    }
}
