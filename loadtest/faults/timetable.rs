//! Which faults come when, drawn from a seed. Pure: the same seed gives the same timetable.

use std::fmt::{self, Display};
use std::ops::Range;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Gateways that a run has.
pub(crate) const GATEWAYS: usize = 3;
/// How long a part is left alone before it is broken again.
const REST: Duration = Duration::from_secs(3);
/// Draws for one place in the timetable, until a fault fits there.
const DRAWS_MAX: u32 = 50;
/// How much later everything arrives while the network is slow.
const SLOW_ONE_WAY: Duration = Duration::from_millis(40);

/// Which gateway a fault meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// The one that leads the room when the fault comes.
    Leader,
    /// The one with this number.
    Number(usize),
}

/// What gateways need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Redis,
    Postgres,
}

/// How a network fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Connections are closed, and new ones too.
    Closed,
    /// Connections stay open and nothing comes through.
    Silent,
}

/// A payment provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Provider {
    Stripe,
    Razorpay,
}

/// How the API of a payment provider fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outage {
    /// It does nothing and says so.
    Down,
    /// It asks for fewer requests.
    RateLimited,
    /// It does everything, and its answers are errors.
    LosesAnswers,
    /// It does everything, late.
    Slow,
}

/// Something that breaks, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Killed with signal 9 and started again.
    GatewayKilled { which: Which, down: Duration },
    /// Stopped and resumed.
    GatewayStopped { which: Which, lasts: Duration },
    /// The replica takes over without what was written in its last `lost`.
    RedisFailedOver { lost: Duration },
    /// All keys are gone, the server stays.
    RedisFlushed,
    /// Killed and started again without its data.
    RedisEmptied,
    /// Killed and started again with what it had written down.
    RedisRestarted { down: Duration },
    /// Stopped and resumed.
    RedisStopped { lasts: Duration },
    /// Shut down and started again.
    PostgresRestarted { down: Duration },
    /// Killed with signal 9 and started again.
    PostgresKilled { down: Duration },
    /// The way from gateways to a server is cut: from one of them, or from all.
    NetworkCut {
        gateway: Option<usize>,
        server: Server,
        cut: Cut,
        lasts: Duration,
    },
    /// The way from all gateways to a server takes longer.
    NetworkSlow { server: Server, lasts: Duration },
    /// The API of one payment provider fails.
    ProviderOut {
        provider: Provider,
        outage: Outage,
        lasts: Duration,
    },
    /// The mail server is killed with signal 9 and started again.
    MailKilled { down: Duration },
}

/// What is broken. Faults of different parts come at the same time, those of one do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Gateways,
    Redis,
    Postgres,
    Network,
    Provider(Provider),
    Mail,
}

/// One line of the timetable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// When it begins, from the start.
    pub at: Duration,
    /// What breaks.
    pub fault: Fault,
}

/// Draws `faults` faults of gateways, servers and network within `span`, or as many as fit, and those
/// of the payment providers and of the mail server beside them: none where `faults` is 0.
pub(crate) fn draw(seed: u64, span: Duration, faults: usize) -> Vec<Entry> {
    let mut timetable = draw_installation(seed, span, faults);
    if faults > 0 {
        for (nth, outside) in (1..).zip(Outside::ALL) {
            // Numbers of their own, so that they change nothing of the rest.
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (nth << 56));
            timetable.extend(outside.draw(span, &mut rng));
        }
    }
    timetable.sort_by_key(|entry| entry.at);
    timetable
}

/// A part that others run.
#[derive(Clone, Copy)]
enum Outside {
    Provider(Provider),
    Mail,
}

impl Outside {
    const ALL: [Self; 3] = [
        Self::Provider(Provider::Stripe),
        Self::Provider(Provider::Razorpay),
        Self::Mail,
    ];

    /// One fault after the other, with pauses between them.
    fn draw(self, span: Duration, rng: &mut ChaCha8Rng) -> Vec<Entry> {
        let mut entries = Vec::new();
        let mut at = millis(2_000..15_000, rng);
        loop {
            let fault = match self {
                Self::Provider(provider) => Fault::ProviderOut {
                    provider,
                    outage: match rng.random_range(0..4) {
                        0 => Outage::Down,
                        1 => Outage::RateLimited,
                        2 => Outage::LosesAnswers,
                        _ => Outage::Slow,
                    },
                    lasts: millis(1_000..12_000, rng),
                },
                Self::Mail => Fault::MailKilled {
                    down: millis(300..5_000, rng),
                },
            };
            let mended = at + fault.lasts();
            if mended > span {
                return entries;
            }
            entries.push(Entry { at, fault });
            at = mended + REST + millis(0..20_000, rng);
        }
    }
}

/// Draws `faults` faults within `span`, or as many as fit.
fn draw_installation(seed: u64, span: Duration, faults: usize) -> Vec<Entry> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut starts: Vec<Duration> = (0..faults).map(|_| span.mul_f64(rng.random())).collect();
    starts.sort_unstable();
    let mut timetable: Vec<Entry> = Vec::with_capacity(faults);
    for at in starts {
        let drawn = (0..DRAWS_MAX).find_map(|_| {
            let entry = Entry {
                at,
                fault: Fault::draw(&mut rng),
            };
            entry.fits(&timetable, span).then_some(entry)
        });
        timetable.extend(drawn);
    }
    timetable
}

impl Entry {
    /// Whether it is over in time, and its part is not broken or just mended when it begins.
    fn fits(&self, timetable: &[Entry], span: Duration) -> bool {
        let mut same_part = timetable
            .iter()
            .filter(|other| other.fault.part() == self.fault.part());
        let is_free = same_part.all(|other| other.at + other.fault.lasts() + REST <= self.at);
        is_free && self.at + self.fault.lasts() <= span
    }
}

impl Fault {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        match rng.random_range(0..100) {
            0..18 => Self::GatewayKilled {
                which: Which::draw(rng),
                down: millis(200..6_000, rng),
            },
            18..36 => Self::GatewayStopped {
                which: Which::draw(rng),
                lasts: millis(300..9_000, rng),
            },
            36..47 => Self::RedisFailedOver {
                lost: millis(50..1_000, rng),
            },
            47..50 => Self::RedisFlushed,
            50..53 => Self::RedisEmptied,
            53..58 => Self::RedisRestarted {
                down: millis(100..4_000, rng),
            },
            58..65 => Self::RedisStopped {
                lasts: millis(300..6_000, rng),
            },
            65..72 => Self::PostgresRestarted {
                down: millis(100..6_000, rng),
            },
            72..76 => Self::PostgresKilled {
                down: millis(100..3_000, rng),
            },
            76..92 => Self::NetworkCut {
                gateway: rng.random_bool(0.6).then(|| rng.random_range(0..GATEWAYS)),
                server: Server::draw(rng),
                cut: if rng.random_bool(0.5) {
                    Cut::Closed
                } else {
                    Cut::Silent
                },
                lasts: millis(300..8_000, rng),
            },
            _ => Self::NetworkSlow {
                server: Server::draw(rng),
                lasts: millis(2_000..15_000, rng),
            },
        }
    }

    /// How long it lasts by itself. Servers take a little longer to be back.
    pub(crate) fn lasts(&self) -> Duration {
        match *self {
            Self::GatewayKilled { down: lasts, .. }
            | Self::GatewayStopped { lasts, .. }
            | Self::RedisFailedOver { lost: lasts }
            | Self::RedisRestarted { down: lasts }
            | Self::RedisStopped { lasts }
            | Self::PostgresRestarted { down: lasts }
            | Self::PostgresKilled { down: lasts }
            | Self::NetworkCut { lasts, .. }
            | Self::NetworkSlow { lasts, .. }
            | Self::ProviderOut { lasts, .. }
            | Self::MailKilled { down: lasts } => lasts,
            Self::RedisFlushed | Self::RedisEmptied => Duration::ZERO,
        }
    }

    /// What it breaks.
    pub(crate) fn part(&self) -> Part {
        match self {
            Self::GatewayKilled { .. } | Self::GatewayStopped { .. } => Part::Gateways,
            Self::RedisFailedOver { .. }
            | Self::RedisFlushed
            | Self::RedisEmptied
            | Self::RedisRestarted { .. }
            | Self::RedisStopped { .. } => Part::Redis,
            Self::PostgresRestarted { .. } | Self::PostgresKilled { .. } => Part::Postgres,
            Self::NetworkCut { .. } | Self::NetworkSlow { .. } => Part::Network,
            Self::ProviderOut { provider, .. } => Part::Provider(*provider),
            Self::MailKilled { .. } => Part::Mail,
        }
    }

    /// Its kind, for the summary.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::GatewayKilled { .. } => "gateway killed",
            Self::GatewayStopped { .. } => "gateway stopped and resumed",
            Self::RedisFailedOver { .. } => "Redis failed over",
            Self::RedisFlushed => "Redis flushed",
            Self::RedisEmptied => "Redis killed, started empty",
            Self::RedisRestarted { .. } => "Redis killed, started again",
            Self::RedisStopped { .. } => "Redis stopped and resumed",
            Self::PostgresRestarted { .. } => "PostgreSQL restarted",
            Self::PostgresKilled { .. } => "PostgreSQL killed",
            Self::NetworkCut { cut, .. } => match cut {
                Cut::Closed => "network cut, connections closed",
                Cut::Silent => "network cut without a word",
            },
            Self::NetworkSlow { .. } => "network slow",
            Self::ProviderOut { outage, .. } => match outage {
                Outage::Down => "payment provider down",
                Outage::RateLimited => "payment provider overloaded",
                Outage::LosesAnswers => "payment provider's answers lost",
                Outage::Slow => "payment provider slow",
            },
            Self::MailKilled { .. } => "mail server killed",
        }
    }

    /// How much later everything arrives on a slow network, one way.
    pub(crate) fn one_way() -> Duration {
        SLOW_ONE_WAY
    }
}

impl Which {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        if rng.random_bool(0.5) {
            Self::Leader
        } else {
            Self::Number(rng.random_range(0..GATEWAYS))
        }
    }
}

impl Server {
    fn draw(rng: &mut ChaCha8Rng) -> Self {
        if rng.random_bool(0.5) {
            Self::Redis
        } else {
            Self::Postgres
        }
    }
}

fn millis(range: Range<u64>, rng: &mut ChaCha8Rng) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind())?;
        match self {
            Self::GatewayKilled { which, .. } | Self::GatewayStopped { which, .. } => match which {
                Which::Leader => write!(f, ", the leader")?,
                Which::Number(number) => write!(f, ", number {number}")?,
            },
            Self::NetworkCut {
                gateway, server, ..
            } => match gateway {
                None => write!(f, ", {server:?} from all gateways")?,
                Some(number) => write!(f, ", {server:?} from gateway {number}")?,
            },
            Self::NetworkSlow { server, .. } => {
                let ms = Self::one_way().as_millis();
                write!(f, ", {ms} ms to {server:?} and {ms} ms back")?;
            }
            Self::ProviderOut { provider, .. } => write!(f, ", {provider:?}")?,
            _ => {}
        }
        match self.lasts() {
            Duration::ZERO => Ok(()),
            lasts if matches!(self, Self::RedisFailedOver { .. }) => {
                write!(f, ", {:.2} s lost", lasts.as_secs_f64())
            }
            lasts => write!(f, ", {:.1} s", lasts.as_secs_f64()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const SPAN: Duration = Duration::from_mins(10);

    #[test]
    fn the_same_seed_gives_the_same_timetable_and_another_another() {
        assert_eq!(draw(7, SPAN, 150), draw(7, SPAN, 150));
        assert_ne!(draw(7, SPAN, 150), draw(8, SPAN, 150));
    }

    #[test]
    fn ten_minutes_have_room_for_most_of_the_faults_and_for_every_kind() {
        let mut kinds = HashSet::new();
        for seed in 0..20 {
            let timetable = draw(seed, SPAN, 150);
            assert!(timetable.len() >= 140, "{}", timetable.len());
            assert!(timetable.is_sorted_by_key(|entry| entry.at));
            kinds.extend(timetable.iter().map(|entry| entry.fault.kind()));
        }
        assert_eq!(kinds.len(), 17, "{kinds:?}");
    }

    #[test]
    fn a_part_is_mended_before_it_is_broken_again_and_all_is_over_in_time() {
        for seed in 0..20 {
            let timetable = draw(seed, SPAN, 150);
            for (number, entry) in timetable.iter().enumerate() {
                assert!(entry.at + entry.fault.lasts() <= SPAN);
                let same = |other: &&Entry| other.fault.part() == entry.fault.part();
                for other in timetable[..number].iter().filter(same) {
                    assert!(other.at + other.fault.lasts() + REST <= entry.at);
                }
            }
        }
    }

    #[test]
    fn faults_of_different_parts_come_together() {
        let timetable = draw(1, SPAN, 150);
        let overlap = timetable
            .windows(2)
            .filter(|pair| pair[0].at + pair[0].fault.lasts() > pair[1].at);
        assert!(overlap.count() > 20);
    }

    #[test]
    fn the_providers_fail_apart_and_together() {
        let timetable = draw(3, SPAN, 150);
        let of = |provider| {
            let part = Part::Provider(provider);
            timetable
                .iter()
                .filter(move |entry| entry.fault.part() == part)
        };
        let until = |entry: &Entry| entry.at + entry.fault.lasts();
        let (mut apart, mut together) = (0, 0);
        for one in of(Provider::Stripe) {
            let meets = |other: &&Entry| one.at < until(other) && other.at < until(one);
            match of(Provider::Razorpay).find(meets) {
                Some(_) => together += 1,
                None => apart += 1,
            }
        }
        assert!(apart > 3 && together > 3, "{apart} {together}");
        assert!(draw(3, SPAN, 0).is_empty());
    }

    #[test]
    fn a_fault_says_what_it_is() {
        let fault = Fault::GatewayKilled {
            which: Which::Leader,
            down: Duration::from_millis(1_200),
        };
        assert_eq!(fault.to_string(), "gateway killed, the leader, 1.2 s");
        let fault = Fault::RedisFailedOver {
            lost: Duration::from_millis(420),
        };
        assert_eq!(fault.to_string(), "Redis failed over, 0.42 s lost");
    }
}
