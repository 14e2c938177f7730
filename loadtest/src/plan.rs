//! What each fan will do, drawn up front from the seed.

use std::net::Ipv4Addr;
use std::time::Duration;

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::arrivals::{Arrivals, schedule};

/// How a fan watches the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Presence {
    /// Over a WebSocket.
    Socket,
    /// By asking again and again.
    Poll,
    /// Not at all: joins, goes away and looks once at the end.
    Drift,
}

/// One fan's intentions.
#[expect(
    clippy::struct_excessive_bools,
    reason = "traits of a fan that are independent of each other"
)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FanPlan {
    /// Which fan, from 0.
    pub number: u32,
    /// When they arrive, from the start of the run.
    pub arrives: Duration,
    /// How they watch the line.
    pub presence: Presence,
    /// Whether they ignore their call.
    pub no_show: bool,
    /// Whether they claim from two connections at once.
    pub claims_twice: bool,
    /// Whether they join a second time with the same nonce.
    pub rejoins: bool,
    /// Whether their first card is declined.
    pub first_card_declined: bool,
    /// Whether they give back what they bought.
    pub cancels: bool,
    /// When they lose patience and leave the line, if they do.
    pub patience: Option<Duration>,
}

impl FanPlan {
    /// A fan who does nothing special.
    pub(crate) fn of(number: u32) -> Self {
        Self {
            number,
            arrives: Duration::ZERO,
            presence: Presence::Poll,
            no_show: false,
            claims_twice: false,
            rejoins: false,
            first_card_declined: false,
            cancels: false,
            patience: None,
        }
    }
}

/// Shares of fans that behave in special ways, 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shares {
    pub drifters: f64,
    pub no_shows: f64,
    pub double_claims: f64,
    pub rejoins: f64,
    pub declined_cards: f64,
    pub cancels: f64,
}

/// What a plan is drawn from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PlanSettings {
    pub seed: u64,
    pub fans: u32,
    pub sockets: u32,
    pub arrivals: Arrivals,
    pub over: Duration,
    pub shares: Shares,
    /// This process takes every `processes`-th fan, beginning with this one.
    pub process_index: u32,
    pub processes: u32,
}

impl PlanSettings {
    /// The fans of this process. All processes of a run draw the same plan and take their part
    /// of it, so together they are one run.
    pub(crate) fn draw(&self) -> Vec<FanPlan> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let offsets = schedule(self.arrivals, self.fans, self.over, &mut rng);
        let presences = self.presences(&mut rng);
        (0u32..)
            .zip(offsets)
            .zip(presences)
            .map(|((number, arrives), presence)| {
                self.shares.fan(number, arrives, presence, &mut rng)
            })
            .filter(|plan| plan.number % self.processes == self.process_index)
            .collect()
    }

    fn presences(&self, rng: &mut ChaCha8Rng) -> Vec<Presence> {
        let mut presences: Vec<Presence> = (0..self.fans)
            .map(|number| {
                if number < self.sockets {
                    Presence::Socket
                } else if rng.random_bool(self.shares.drifters) {
                    Presence::Drift
                } else {
                    Presence::Poll
                }
            })
            .collect();
        presences.shuffle(rng);
        presences
    }
}

impl Shares {
    /// A fan who is like this as often as the shares say.
    pub(crate) fn fan(
        &self,
        number: u32,
        arrives: Duration,
        presence: Presence,
        rng: &mut ChaCha8Rng,
    ) -> FanPlan {
        FanPlan {
            arrives,
            presence,
            no_show: rng.random_bool(self.no_shows),
            claims_twice: rng.random_bool(self.double_claims),
            rejoins: rng.random_bool(self.rejoins),
            first_card_declined: rng.random_bool(self.declined_cards),
            cancels: rng.random_bool(self.cancels),
            ..FanPlan::of(number)
        }
    }
}

/// The address a fan claims to come from: one in 10.0.0.0/8 each, so that limits per client
/// address see as many clients as there are fans.
pub(crate) fn client_address(number: u32) -> Ipv4Addr {
    let [_, b, c, d] = number.to_be_bytes();
    Ipv4Addr::new(10, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARES: Shares = Shares {
        drifters: 0.25,
        no_shows: 0.1,
        double_claims: 0.2,
        rejoins: 0.0,
        declined_cards: 1.0,
        cancels: 0.0,
    };

    fn settings(process_index: u32, processes: u32) -> PlanSettings {
        PlanSettings {
            seed: 11,
            fans: 10_000,
            sockets: 2_000,
            arrivals: Arrivals::Poisson,
            over: Duration::from_secs(10),
            shares: SHARES,
            process_index,
            processes,
        }
    }

    fn count(plans: &[FanPlan], like: impl Fn(&FanPlan) -> bool) -> usize {
        plans.iter().filter(|plan| like(plan)).count()
    }

    #[test]
    fn a_plan_has_the_sockets_asked_for_and_the_shares_roughly() {
        let plans = settings(0, 1).draw();
        assert_eq!(count(&plans, |p| p.presence == Presence::Socket), 2_000);
        let drifters = count(&plans, |p| p.presence == Presence::Drift);
        assert!((1_800..2_200).contains(&drifters), "{drifters}");
        let no_shows = count(&plans, |p| p.no_show);
        assert!((900..1_100).contains(&no_shows), "{no_shows}");
        assert_eq!(count(&plans, |p| p.first_card_declined), 10_000);
        assert_eq!(count(&plans, |p| p.rejoins), 0);
    }

    #[test]
    fn processes_share_one_plan_without_overlap() {
        let whole = settings(0, 1).draw();
        let mut parts: Vec<FanPlan> = (0..3).flat_map(|i| settings(i, 3).draw()).collect();
        parts.sort_by_key(|plan| plan.number);
        assert_eq!(parts, whole);
    }

    #[test]
    fn fans_have_addresses_of_their_own() {
        assert_eq!(client_address(0).to_string(), "10.0.0.0");
        assert_eq!(client_address(70_000).to_string(), "10.1.17.112");
    }
}
