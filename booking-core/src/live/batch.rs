//! Composing a batch of holds from commands.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use contract::booking::{Hold, HoldStatus};
use contract::{HoldId, SeatId};

use super::command::{HoldCommand, SeatsWanted, Settled, answer};
use super::show::ShowMemory;
use crate::config::{HOLD_BATCH_MAX, HOLD_WAIT_MAX};
use crate::shows::{TypedSeat, best_available};
use crate::store::hold_batch::{HoldAsk, HoldTerms};
use crate::store::idempotency::{KeyUse, KeyedAnswer};

/// What commands want that the database decides on now. Others who want the same wait.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// By index in the plan.
    seats: HashSet<usize>,
    owners: HashSet<String>,
    /// Principals and keys.
    keys: HashSet<(String, String)>,
}

impl Claims {
    fn has_company_of(&self, command: &HoldCommand) -> bool {
        let keys = command.key.iter().flat_map(|key| &key.key_uses);
        self.owners.contains(&command.owner.limit_owner)
            || keys.map(KeyUse::name).any(|name| self.keys.contains(&name))
    }

    fn add(&mut self, command: &HoldCommand, seats: &[usize]) {
        self.seats.extend(seats);
        self.owners.insert(command.owner.limit_owner.clone());
        let keys = command.key.iter().flat_map(|key| &key.key_uses);
        self.keys.extend(keys.map(KeyUse::name));
    }
}

/// The claims of the batches under way.
#[derive(Debug, Default)]
pub(super) struct Claimed(Vec<Arc<Claims>>);

impl Claimed {
    pub(super) fn add(&mut self, claims: &Arc<Claims>) {
        self.0.push(Arc::clone(claims));
    }

    /// Removes the claims of a batch that is over.
    pub(super) fn release(&mut self, claims: &Arc<Claims>) {
        self.0.retain(|other| !Arc::ptr_eq(other, claims));
    }

    /// How many batches are under way.
    pub(super) fn batches(&self) -> usize {
        self.0.len()
    }
}

/// A batch, ready to be settled.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) commands: Vec<HoldCommand>,
    pub(super) asks: Vec<HoldAsk>,
    /// The hold of each ask, if it is granted.
    pub(super) holds: Vec<Hold>,
    pub(super) claims: Claims,
}

/// Waiting commands, sorted by what happens to them.
#[derive(Debug, Default)]
pub(super) struct Composed {
    pub(super) batch: Batch,
    /// Those who want what others claim, in their order.
    pub(super) later: Vec<HoldCommand>,
    /// Those whose seats are gone, but perhaps to an earlier request with the same key.
    pub(super) repeats: Vec<HoldCommand>,
}

/// Turns commands into asks until the batch is full. A command that wants what this batch or one
/// under way claims is left for later; one that cannot succeed is answered at once.
pub(super) fn compose(
    memory: &ShowMemory,
    terms: &HoldTerms,
    waiting: &mut VecDeque<HoldCommand>,
    claimed: &Claimed,
) -> Composed {
    let mut composed = Composed::default();
    while composed.batch.commands.len() < HOLD_BATCH_MAX
        && let Some(command) = waiting.pop_front()
    {
        if command.reply.is_closed() {
            // The customer has disconnected, and nothing was tried for this command.
            continue;
        }
        if command.queued_at.elapsed() > HOLD_WAIT_MAX {
            answer(command, Ok(Settled::Busy));
            continue;
        }
        let claims = || {
            claimed
                .0
                .iter()
                .map(Arc::as_ref)
                .chain([&composed.batch.claims])
        };
        if claims().any(|claims| claims.has_company_of(&command)) {
            composed.later.push(command);
            continue;
        }
        let is_claimed = |seat: usize| claims().any(|claims| claims.seats.contains(&seat));
        let is_any_claimed = claims().any(|claims| !claims.seats.is_empty());
        let choice = choose(memory, &command.wanted, &is_claimed, is_any_claimed);
        match choice {
            Choice::Seats(seats) => composed.batch.add(memory, terms, command, &seats),
            Choice::Later => composed.later.push(command),
            Choice::Gone(_) if command.may_repeat() => composed.repeats.push(command),
            Choice::Gone(gone) => answer(command, Ok(Settled::SeatsUnavailable(gone))),
        }
    }
    composed
}

impl Batch {
    fn add(
        &mut self,
        memory: &ShowMemory,
        terms: &HoldTerms,
        command: HoldCommand,
        seats: &[usize],
    ) {
        let typed: Vec<TypedSeat<'_>> = seats
            .iter()
            .enumerate()
            .filter_map(|(at, index)| {
                Some(TypedSeat {
                    seat: memory.plan.seats().get(*index)?,
                    type_at: command.types.get(at).copied().unwrap_or_default(),
                })
            })
            .collect();
        let price = memory.info.tariff().price_of(&typed);
        let hold = Hold {
            hold_id: HoldId::new(command.hold_id),
            show_id: memory.info.show_id.clone(),
            status: HoldStatus::Active,
            expires_at: terms.expires_at,
            seat_ids: memory.plan.labels(seats),
            seats: memory.plan.seat_labels(seats),
            amount_minor: price.amount_minor,
            lines: price.lines.clone(),
            tickets: price.tickets.clone(),
            currency: terms.currency.clone(),
            payment_started: false,
            booking_id: None,
        };
        let keyed = command.key.as_ref().map(|key| KeyedAnswer {
            key_uses: key.key_uses.clone(),
            answer: (key.answer_of)(&hold),
        });
        self.claims.add(&command, seats);
        self.asks.push(HoldAsk {
            hold_id: command.hold_id,
            seat_nos: seats.iter().map(|index| memory.plan.no(*index)).collect(),
            owner: command.owner.clone(),
            price,
            keyed,
        });
        self.holds.push(hold);
        self.commands.push(command);
    }
}

/// The ask for one command.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    /// These seats, by index.
    Seats(Vec<usize>),
    /// None yet: another command, which may be refused, claims one of the seats.
    Later,
    /// None: these seats are unavailable; empty when no combination of the best seats is left.
    Gone(Vec<SeatId>),
}

fn choose(
    memory: &ShowMemory,
    wanted: &SeatsWanted,
    is_claimed: &dyn Fn(usize) -> bool,
    is_any_claimed: bool,
) -> Choice {
    let states = memory.states();
    let available = |index: usize| states.is_available(index);
    match wanted {
        SeatsWanted::Named(indices) => {
            let gone: Vec<usize> = indices.iter().copied().filter(|i| !available(*i)).collect();
            if !gone.is_empty() {
                return Choice::Gone(memory.plan.labels(&gone));
            }
            if indices.iter().any(|index| is_claimed(*index)) {
                return Choice::Later;
            }
            let mut sorted = indices.clone();
            sorted.sort_unstable();
            Choice::Seats(sorted)
        }
        SeatsWanted::Best { quantity, category } => {
            let pick = |free: &dyn Fn(usize) -> bool| {
                best_available::pick(&memory.plan, *quantity, category.as_deref(), free)
            };
            if let Some(seats) = pick(&|index| available(index) && !is_claimed(index)) {
                return Choice::Seats(seats);
            }
            if !is_any_claimed || pick(&available).is_none() {
                return Choice::Gone(Vec::new());
            }
            Choice::Later
        }
    }
}
