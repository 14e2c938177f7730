//! The queue of webhook deliveries: due times, and retries after failures.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use contract::Timestamp;
use rand::RngExt;
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::id::{EventId, IntentId};
use crate::method::WebhookPlan;

/// Deliveries in the queue. Beyond it new events are dropped and the number is logged.
pub(crate) const DELIVERIES_MAX: usize = 100_000;

/// Attempts per delivery. With the pauses below the last is about an hour after the first.
const TRIES_MAX: u32 = 14;

/// Pause before the second attempt; it doubles for each further attempt.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// The longest pause.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// Copies of one event under [`WebhookPlan::Duplicated`].
const DUPLICATES: u8 = 5;

/// Which provider's webhook a delivery is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Hook {
    #[default]
    Stripe,
    Razorpay,
}

/// Names one copy of one event.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct DeliveryId {
    event: EventId,
    copy: u8,
}

impl DeliveryId {
    /// The event that it delivers.
    pub(crate) fn event(&self) -> &EventId {
        &self.event
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.event, self.copy)
    }
}

/// A delivery of an event to the merchant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Delivery {
    pub(crate) id: DeliveryId,
    pub(crate) intent: IntentId,
    /// The exact bytes that are signed and sent.
    pub(crate) body: String,
    /// `None` while it waits for a later event of the same intent to be delivered first.
    pub(crate) due_at: Option<Timestamp>,
    /// Failed attempts.
    pub(crate) tries: u32,
    /// Whether its delivery releases the deliveries that wait for it.
    pub(crate) ends_attempt: bool,
    /// Whose webhook it is.
    #[serde(default)]
    pub(crate) hook: Hook,
}

/// Deliveries, sorted by due time.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    deliveries: HashMap<DeliveryId, Delivery>,
    due: BTreeSet<(Timestamp, DeliveryId)>,
    parked: BTreeSet<(IntentId, DeliveryId)>,
}

impl Delivery {
    /// The deliveries of an event under a plan.
    pub(crate) fn plan(
        plan: WebhookPlan,
        event: &EventId,
        intent: &IntentId,
        body: &str,
        ends_attempt: bool,
        times: DeliveryTimes,
    ) -> Vec<Self> {
        let (copies, due_at) = match plan {
            WebhookPlan::Prompt => (1, Some(times.now)),
            WebhookPlan::Dropped => (0, None),
            WebhookPlan::Duplicated => (DUPLICATES, Some(times.now)),
            WebhookPlan::Reordered => (1, ends_attempt.then_some(times.now)),
            WebhookPlan::Delayed => (1, Some(times.now.plus(times.delay))),
        };
        (0..copies)
            .map(|copy| Self {
                id: DeliveryId {
                    event: event.clone(),
                    copy,
                },
                intent: intent.clone(),
                body: body.to_owned(),
                due_at,
                tries: 0,
                ends_attempt,
                hook: Hook::default(),
            })
            .collect()
    }

    /// The next attempt after a failure, or `None` after the last attempt.
    pub(crate) fn after_failure(&self, now: Timestamp, rng: &mut ChaCha20Rng) -> Option<Self> {
        let tries = self.tries + 1;
        if tries >= TRIES_MAX {
            return None;
        }
        let pause = PAUSE_MIN
            .saturating_mul(1 << self.tries.min(20))
            .min(PAUSE_MAX);
        // Between half of the pause and all of it, so that deliveries that failed together are
        // spread.
        let jittered = pause.mul_f64(rng.random_range(0.5..=1.0));
        Some(Self {
            tries,
            due_at: Some(now.plus(jittered)),
            ..self.clone()
        })
    }
}

/// When a new delivery goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DeliveryTimes {
    pub(crate) now: Timestamp,
    /// The wait of [`WebhookPlan::Delayed`].
    pub(crate) delay: Duration,
}

impl Outbox {
    /// Number of queued deliveries.
    pub(crate) fn len(&self) -> usize {
        self.deliveries.len()
    }

    /// All queued deliveries.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values()
    }

    /// At most `limit` deliveries that are due and not in `busy`, oldest first.
    pub(crate) fn due(
        &self,
        now: Timestamp,
        limit: usize,
        busy: &HashSet<DeliveryId>,
    ) -> Vec<Delivery> {
        self.due
            .iter()
            .take_while(|(due_at, _)| *due_at <= now)
            .filter(|(_, id)| !busy.contains(id))
            .take(limit)
            .filter_map(|(_, id)| self.deliveries.get(id).cloned())
            .collect()
    }

    /// When the next delivery that is not in `busy` is due.
    pub(crate) fn next_due(&self, busy: &HashSet<DeliveryId>) -> Option<Timestamp> {
        self.due
            .iter()
            .find(|(_, id)| !busy.contains(id))
            .map(|(due_at, _)| *due_at)
    }

    /// Deliveries of `intent` that wait for its final event.
    pub(crate) fn parked(&self, intent: &IntentId) -> Vec<Delivery> {
        self.parked
            .iter()
            .filter(|(of, _)| of == intent)
            .filter_map(|(_, id)| self.deliveries.get(id).cloned())
            .collect()
    }

    /// Adds or replaces a delivery.
    pub(crate) fn put(&mut self, delivery: Delivery) {
        self.remove(&delivery.id);
        match delivery.due_at {
            Some(due_at) => self.due.insert((due_at, delivery.id.clone())),
            None => self
                .parked
                .insert((delivery.intent.clone(), delivery.id.clone())),
        };
        self.deliveries.insert(delivery.id.clone(), delivery);
    }

    /// Forgets a delivery.
    pub(crate) fn remove(&mut self, id: &DeliveryId) {
        if let Some(old) = self.deliveries.remove(id) {
            match old.due_at {
                Some(due_at) => self.due.remove(&(due_at, old.id)),
                None => self.parked.remove(&(old.intent, old.id)),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn plan(plan: WebhookPlan, ends_attempt: bool) -> Vec<Delivery> {
        let times = DeliveryTimes {
            now: NOW,
            delay: Duration::from_secs(9),
        };
        let (event, intent) = (EventId::from("evt_1"), IntentId::from("pi_1"));
        Delivery::plan(plan, &event, &intent, "{}", ends_attempt, times)
    }

    #[test]
    fn each_plan_sends_its_copies_at_its_time() {
        let due = |deliveries: Vec<Delivery>| {
            deliveries
                .iter()
                .map(|delivery| delivery.due_at)
                .collect::<Vec<_>>()
        };
        assert_eq!(due(plan(WebhookPlan::Prompt, true)), [Some(NOW)]);
        assert_eq!(due(plan(WebhookPlan::Dropped, true)), []);
        assert_eq!(due(plan(WebhookPlan::Duplicated, true)), [Some(NOW); 5]);
        assert_eq!(due(plan(WebhookPlan::Reordered, true)), [Some(NOW)]);
        assert_eq!(due(plan(WebhookPlan::Reordered, false)), [None]);
        let late = NOW.plus(Duration::from_secs(9));
        assert_eq!(due(plan(WebhookPlan::Delayed, true)), [Some(late)]);
    }

    #[test]
    fn pauses_grow_within_bounds_and_tries_end() {
        let mut rng = ChaCha20Rng::seed_from_u64(7);
        let mut delivery = plan(WebhookPlan::Prompt, true).remove(0);
        let mut tries = 1;
        while let Some(next) = delivery.after_failure(NOW, &mut rng) {
            let pause = next.due_at.unwrap().since(NOW);
            let full = PAUSE_MIN.saturating_mul(1 << delivery.tries).min(PAUSE_MAX);
            assert!(
                pause >= full.mul_f64(0.49) && pause <= full,
                "{pause:?} of {full:?}"
            );
            delivery = next;
            tries += 1;
        }
        assert_eq!(tries, TRIES_MAX);
    }

    #[test]
    fn a_replaced_delivery_is_due_once() {
        let mut outbox = Outbox::default();
        let mut delivery = plan(WebhookPlan::Prompt, true).remove(0);
        outbox.put(delivery.clone());
        delivery.due_at = Some(NOW.plus(Duration::from_secs(1)));
        outbox.put(delivery.clone());
        let busy = HashSet::new();
        assert_eq!(outbox.due(NOW, 9, &busy).len(), 0);
        assert_eq!(outbox.due(delivery.due_at.unwrap(), 9, &busy).len(), 1);
        outbox.remove(&delivery.id);
        assert_eq!((outbox.len(), outbox.next_due(&busy)), (0, None));
    }
}
