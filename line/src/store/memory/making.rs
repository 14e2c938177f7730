//! How the model takes what the log knows.

use contract::Timestamp;

use super::done::Done;
use super::room::{Room, Run};
use crate::policy::credit::CREDIT_ONE;
use crate::store::{Notice, Served, ServedState};

impl Room {
    /// Adds admissions that come after the last published one; their connections are told if the
    /// room was there before.
    pub(super) fn add_served(&mut self, served: &[Served], was_there: bool) {
        let seq_known = self.seq;
        let mut looks = Vec::new();
        let mut run = Run::default();
        for served in served {
            self.seq = self.seq.max(served.seq);
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
