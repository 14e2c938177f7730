//! Which rooms stand before the same service, and what is protected there on whichever host. Pure.

use std::collections::HashMap;

use contract::path::{PathPrefix, SafePath};
use contract::readings::Reading;

use super::prefixes::Prefixes;
use super::stance::{Behind, Stance};

/// What rooms have behind them.
#[derive(Debug, Default)]
pub(super) struct Services {
    /// By [`Service::number`]; the booking core is the first.
    services: Vec<Protected>,
}

/// What a room sends a request to: a service, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Service {
    number: usize,
    /// Its number among the [`Protected::bases`].
    base: usize,
    preserves_host: bool,
}

/// What is protected at one service, on all hosts that lead to it.
#[derive(Debug, Default)]
struct Protected {
    /// The rooms that do not all stand at the same place; without any, the rooms of a host are all
    /// there are.
    by_all: Option<Prefixes<usize>>,
    /// The same without the rooms that tell the service which host was asked for.
    by_host_blind: Option<Prefixes<usize>>,
    /// Below which paths of the service rooms stand.
    bases: Vec<PathPrefix>,
}

/// The rooms that protect a service, as one room reaches it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guards<'a> {
    prefixes: &'a Prefixes<usize>,
    base: &'a PathPrefix,
}

impl Service {
    /// The booking core.
    pub(super) const CORE: Self = Self {
        number: 0,
        base: 0,
        preserves_host: false,
    };
}

impl Services {
    /// The services of rooms with these stances, and which of them each room has.
    pub(super) fn of(stances: &[Stance]) -> (Self, Vec<Service>) {
        let numbers = numbered(stances);
        let count = numbers.iter().max().map_or(1, |max| max + 1);
        let mut services: Vec<Protected> = Vec::new();
        services.resize_with(count, Protected::default);
        services[0].bases.push(PathPrefix::root());
        let mut of_rooms = Vec::new();
        for (stance, &number) in stances.iter().zip(&numbers) {
            let bases = &mut services[number].bases;
            let base = match &stance.behind {
                Behind::Core => 0,
                Behind::Remote { base, .. } => {
                    let known = bases.iter().position(|known| known.is_same(base));
                    known.unwrap_or_else(|| {
                        bases.push(base.clone());
                        bases.len() - 1
                    })
                }
            };
            of_rooms.push(Service {
                number,
                base,
                preserves_host: preserves_host(stance),
            });
        }
        for (number, service) in services.iter_mut().enumerate() {
            let is_here = |at: &usize| numbers[*at] == number;
            let here: Vec<usize> = (0..stances.len()).filter(is_here).collect();
            if is_at_one_place(stances, &here, number) {
                continue;
            }
            let tree = |is_asked: &dyn Fn(&Stance) -> bool| {
                let mut prefixes = Prefixes::default();
                for &at in here.iter().filter(|at| is_asked(&stances[**at])) {
                    for prefix in &stances[at].prefixes {
                        prefixes.add_below(&service.bases[of_rooms[at].base], prefix, at);
                    }
                }
                prefixes
            };
            // Two rooms of one host reach each other's paths where one stands below the other.
            let may_overlap = service.bases.len() > 1;
            let blind = tree(&|stance| may_overlap || !preserves_host(stance));
            service.by_all = Some(tree(&|_| true));
            service.by_host_blind = Some(blind);
        }
        (Self { services }, of_rooms)
    }

    /// The rooms of other hosts that count for a request to `service`, together with those of its
    /// own host; `None` when there are no others.
    pub(super) fn guards(&self, service: Service) -> Option<Guards<'_>> {
        let protected = self.services.get(service.number)?;
        // A service that is told the host tells apart what rooms protect that tell it the host too.
        let prefixes = if service.preserves_host {
            protected.by_host_blind.as_ref()
        } else {
            protected.by_all.as_ref()
        };
        Some(Guards {
            prefixes: prefixes?,
            base: protected.bases.get(service.base)?,
        })
    }
}

impl<'a> Guards<'a> {
    /// The room with the nearest prefix.
    pub(super) fn nearest(
        self,
        path: &SafePath<'_>,
        is_idle: impl Fn(&usize) -> bool,
    ) -> Option<(&'a usize, usize)> {
        self.prefixes.nearest_below(self.base, path, is_idle)
    }

    /// The rooms with the nearest prefix of a path with several readings, if all agree.
    pub(super) fn whichever(self, readings: &[Reading]) -> Option<(&'a [usize], usize)> {
        let base = self.base.names().map(|name| Reading::Name(name.to_owned()));
        let whole: Vec<_> = base.chain(readings.iter().cloned()).collect();
        self.prefixes.whichever(&whole)
    }

    /// Whose pass counts: of the host's `own` room, with the depth of its prefix below the base, or
    /// of the `other` one, with the depth of its whole prefix.
    pub(super) fn nearer(
        self,
        own: Option<(usize, usize)>,
        other: Option<(usize, usize)>,
        is_idle: impl Fn(&usize) -> bool,
    ) -> Option<usize> {
        let (Some((own, own_depth)), Some((other, other_depth))) = (own, other) else {
            return own.or(other).map(|(number, _)| number);
        };
        let own_depth = own_depth + self.base.depth();
        let is_other = other_depth > own_depth
            || (other_depth == own_depth && is_idle(&own) && !is_idle(&other));
        Some(if is_other { other } else { own })
    }
}

/// The number of the service of each room: rooms that have a server in common have one service.
fn numbered(stances: &[Stance]) -> Vec<usize> {
    let mut numbers = Vec::with_capacity(stances.len());
    let mut of_servers: HashMap<&str, usize> = HashMap::new();
    let mut next = 1;
    for stance in stances {
        let Behind::Remote { servers, .. } = &stance.behind else {
            numbers.push(0);
            continue;
        };
        let known = servers.iter().find_map(|server| of_servers.get(&**server));
        let number = known.copied().unwrap_or(next);
        next = next.max(number + 1);
        numbers.push(number);
        for server in servers {
            let before = of_servers.insert(server, number);
            // This room joins two services into one.
            if let Some(before) = before.filter(|before| *before != number) {
                let renamed = |known: &mut usize| {
                    if *known == before {
                        *known = number;
                    }
                };
                numbers.iter_mut().for_each(renamed);
                of_servers.values_mut().for_each(renamed);
            }
        }
    }
    numbers
}

/// Whether the rooms `here` are found together on whichever host leads to their service.
fn is_at_one_place(stances: &[Stance], here: &[usize], number: usize) -> bool {
    let Some((first, rest)) = here.split_first() else {
        return true;
    };
    let first = &stances[*first];
    if number == 0 {
        // The booking core answers on hosts that none of its rooms names.
        return here.iter().all(|at| stances[*at].hosts.is_empty());
    }
    rest.iter().all(|at| {
        let other = &stances[*at];
        let is_same_base = match (&first.behind, &other.behind) {
            (Behind::Remote { base, .. }, Behind::Remote { base: other, .. }) => {
                base.is_same(other)
            }
            _ => false,
        };
        let has = |host| other.hosts.contains(host);
        let are_same_hosts = first.hosts.len() == other.hosts.len() && first.hosts.iter().all(has);
        is_same_base && are_same_hosts
    })
}

fn preserves_host(stance: &Stance) -> bool {
    match stance.behind {
        Behind::Core => false,
        Behind::Remote { preserves_host, .. } => preserves_host,
    }
}
