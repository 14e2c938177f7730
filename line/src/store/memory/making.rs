//! How the model takes what the log knows.

use async_trait::async_trait;
use contract::Timestamp;
use uuid::Uuid;

use super::MemoryStore;
use super::done::Done;
use super::room::{Claim, Room, Run};
use crate::policy::credit::CREDIT_ONE;
use crate::store::making::{MAKING_MAX, Making, Served, ServedPage, ServedState};
use crate::store::{Notice, RoomRef, StoreError, StoreResult};

#[async_trait]
impl Making for MemoryStore {
    async fn making_begin(
        &self,
        room: &RoomRef,
        process: Uuid,
        now: Timestamp,
    ) -> StoreResult<u64> {
        let mut rooms = self.lock();
        let new = || Room {
            epoch: room.epoch,
            ..Room::default()
        };
        let known = rooms.entry(room.room.clone()).or_insert_with(new);
        if known.epoch > room.epoch {
            return Err(StoreError::NoRoom);
        }
        if known.epoch < room.epoch {
            *known = new();
        }
        let other = known.claim.filter(|claim| claim.process != process);
        if other.is_some_and(|claim| now < claim.heard_at.plus(MAKING_MAX)) {
            return Err(StoreError::NoRoom);
        }
        known.claim = Some(Claim {
            process,
            heard_at: now,
        });
        Ok(known.seq)
    }

    async fn making_add(
        &self,
        room: &RoomRef,
        process: Uuid,
        now: Timestamp,
        page: &ServedPage<'_>,
    ) -> StoreResult<()> {
        let mut rooms = self.lock();
        let known = rooms
            .get_mut(&room.room)
            .filter(|known| known.epoch == room.epoch)
            .ok_or(StoreError::NoRoom)?;
        let is_allowed = match &mut known.claim {
            Some(claim) if claim.process == process => {
                claim.heard_at = now;
                true
            }
            Some(_) => false,
            None => known.is_made,
        };
        if !is_allowed || known.seq < page.after {
            return Err(StoreError::NoRoom);
        }
        known.add_served(page.served, known.is_made);
        known.seq = known.seq.max(page.upto);
        if let Some(end) = page.end {
            if !known.is_made {
                (known.birth, known.born_at) = (end.birth, now);
                (known.held_until, known.is_made) = (end.held_until, true);
            }
            known.is_open |= end.is_open;
            known.claim = None;
        }
        Ok(())
    }
}

impl Room {
    /// Adds admissions that come after the last published one; their connections are told if the
    /// room was there before.
    fn add_served(&mut self, served: &[Served], was_there: bool) {
        let seq_known = self.seq;
        let mut looks = Vec::new();
        let mut run = Run::default();
        for served in served {
            if served.seq <= seq_known || self.popped_key(served.place).is_some() {
                continue;
            }
            self.remove(served.place);
            self.called.remove(&served.place);
            self.active.remove(&served.place);
            self.missed.remove(&served.place);
            self.absent.remove(&served.place);
            self.session.remove(&served.place);
            self.done.insert(served.place, Done::Called(served.key));
            self.bucket.credit = self.bucket.credit.saturating_sub(CREDIT_ONE);
            if let ServedState::Called(claim_by) = served.state {
                self.called.insert(served.place, claim_by);
                self.session
                    .insert(served.place, (served.seq, Timestamp::EPOCH));
                run.add(self, served.place, served.seq, claim_by);
                continue;
            }
            looks.push(served.place);
            match served.state {
                ServedState::Over | ServedState::Called(_) => {}
                ServedState::Active(until) => {
                    self.active.insert(served.place, until);
                    let session = (served.seq, served.called_at);
                    self.session.insert(served.place, session);
                }
                ServedState::Missed(until) => {
                    self.missed.insert(served.place, until);
                }
                ServedState::Left => {
                    let live = served.key.is_live();
                    self.done.insert(served.place, Done::Left { live });
                }
            }
        }
        run.tell(self);
        if was_there && !looks.is_empty() {
            self.tell(Notice::Look { places: looks });
        }
    }
}
