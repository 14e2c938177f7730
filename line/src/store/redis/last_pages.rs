//! Last pages on Redis.

use async_trait::async_trait;
use contract::Timestamp;

use super::{Args, RedisStore};
use crate::store::last_pages::{LOADS_MAX, LastPage, LastPages};
use crate::store::{RoomRef, StoreError, StoreResult};

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
