//! Where sessions that were just ended may still go: the part of the store that lets a fan see
//! the page that a shop redirects to in the answer that ends the session.

use std::collections::BTreeMap;

use async_trait::async_trait;
use contract::Timestamp;

use super::memory::MemoryStore;
use super::redis::{Args, RedisStore};
use super::{RoomRef, StoreError, StoreResult};

/// Most that the last page of one session may load. Heavy pages load about two hundred files.
pub const LOADS_MAX: u32 = 300;

/// Whether an ended session may go somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastPage {
    /// Yes, this once.
    Granted,
    /// Not there, or not again.
    Refused,
    /// The session has no such page: the shop did not redirect when it ended it, or its time is
    /// over.
    None,
}

/// The last pages of ended sessions. A pass is named by its `jti`. Each method is one atomic
/// step, for all gateways together.
#[async_trait]
pub trait LastPages: Send + Sync {
    /// Lets the session of `pass` go to `target`, a path with its query, until `until`.
    async fn last_page_put(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        until: Timestamp,
        target: &str,
    ) -> StoreResult<()>;

    /// Takes the one visit of `target`.
    async fn last_page_take(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        target: &str,
    ) -> StoreResult<LastPage>;

    /// Counts something the page loads, at most [`LOADS_MAX`] times and only once the page was
    /// taken. With `page`, it has to be that page which asks.
    async fn last_page_load(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        page: Option<&str>,
    ) -> StoreResult<LastPage>;
}

fn read(word: &str) -> StoreResult<LastPage> {
    match word {
        "granted" => Ok(LastPage::Granted),
        "refused" => Ok(LastPage::Refused),
        "none" => Ok(LastPage::None),
        other => Err(StoreError::Corrupt(format!("last page: {other}"))),
    }
}

#[async_trait]
impl LastPages for RedisStore {
    async fn last_page_put(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        until: Timestamp,
        target: &str,
    ) -> StoreResult<()> {
        let args = Args::of(room).time(now).number(pass);
        let args = args.time(until).number(target);
        self.run::<u64>(&self.scripts.last_page_put, room, &args)
            .await?;
        Ok(())
    }

    async fn last_page_take(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        target: &str,
    ) -> StoreResult<LastPage> {
        let args = Args::of(room).time(now).number(pass).number(target);
        let word: String = self.run(&self.scripts.last_page_take, room, &args).await?;
        read(&word)
    }

    async fn last_page_load(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        page: Option<&str>,
    ) -> StoreResult<LastPage> {
        let args = Args::of(room).time(now).number(pass);
        let args = args.number(page.unwrap_or_default()).number(LOADS_MAX);
        let word: String = self.run(&self.scripts.last_page_load, room, &args).await?;
        read(&word)
    }
}

/// The last pages of one room in memory, by pass.
pub(super) type Kept = BTreeMap<String, KeptPage>;

/// One of them.
#[derive(Clone, Debug)]
pub(super) struct KeptPage {
    until: Timestamp,
    target: String,
    /// What it has loaded; `None` until it was taken.
    loads: Option<u32>,
}

#[async_trait]
impl LastPages for MemoryStore {
    async fn last_page_put(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        until: Timestamp,
        target: &str,
    ) -> StoreResult<()> {
        self.with(room, |room| {
            room.last_pages.retain(|_, page| page.until > now);
            let page = KeptPage {
                until,
                target: target.to_owned(),
                loads: None,
            };
            room.last_pages.insert(pass.to_owned(), page);
        })
    }

    async fn last_page_take(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        target: &str,
    ) -> StoreResult<LastPage> {
        self.with(room, |room| match room.last_pages.get_mut(pass) {
            Some(page) if page.until > now => {
                if page.target != target || page.loads.is_some() {
                    return LastPage::Refused;
                }
                page.loads = Some(0);
                LastPage::Granted
            }
            _ => LastPage::None,
        })
    }

    async fn last_page_load(
        &self,
        room: &RoomRef,
        now: Timestamp,
        pass: &str,
        asking: Option<&str>,
    ) -> StoreResult<LastPage> {
        self.with(room, |room| match room.last_pages.get_mut(pass) {
            Some(page) if page.until > now => {
                let is_page = asking.is_none_or(|asking| asking == page.target);
                match &mut page.loads {
                    Some(loads) if is_page && *loads < LOADS_MAX => {
                        *loads += 1;
                        LastPage::Granted
                    }
                    _ => LastPage::Refused,
                }
            }
            _ => LastPage::None,
        })
    }
}
