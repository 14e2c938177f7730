//! Which of several addresses a request is sent to. Pure.

/// A set of addresses, by their places in the list, which has at most 32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Set(u32);

impl Set {
    pub(super) fn of(count: usize, is_in: impl Fn(usize) -> bool) -> Self {
        let mut set = Self::default();
        for at in (0..count).filter(|at| is_in(*at)) {
            set.add(at);
        }
        set
    }

    pub(super) fn add(&mut self, at: usize) {
        self.0 |= 1 << at;
    }

    fn has(self, at: usize) -> bool {
        self.0 & (1 << at) != 0
    }

    fn len(self) -> u32 {
        self.0.count_ones()
    }

    fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Number `number` of those that are in the set.
    fn nth(self, number: u32) -> usize {
        let mut left = self.0;
        for _ in 0..number {
            left &= left - 1;
        }
        left.trailing_zeros() as usize
    }
}

/// The address for a request of those that are `up`, without those that were `tried`: the
/// `preferred` one, else of two that chance picks (by `roll`) the one with less `load`. With none up
/// all count, so that it is noticed at once when one is back. `None` when there is none left.
pub(super) fn choose(
    count: usize,
    up: Set,
    tried: Set,
    preferred: Option<usize>,
    roll: u64,
    load: impl Fn(usize) -> usize,
) -> Option<usize> {
    let all = Set::of(count, |_| true);
    let open = if up == Set::default() { all } else { up };
    let open = open.without(tried);
    if let Some(preferred) = preferred.filter(|at| open.has(*at)) {
        return Some(preferred);
    }
    let number = |roll: u64, count: u32| u32::try_from(roll % u64::from(count)).unwrap_or(0);
    match open.len() {
        0 => None,
        1 => Some(open.nth(0)),
        len => {
            let first = open.nth(number(roll & 0xffff_ffff, len));
            let rest = open.without(Set::of(count, |at| at == first));
            let second = rest.nth(number(roll >> 32, len - 1));
            Some(if load(second) < load(first) {
                second
            } else {
                first
            })
        }
    }
}

/// A number that looks random, made of one that counts (splitmix64). Who chooses an address has no
/// need of more.
pub(super) fn scatter(count: u64) -> u64 {
    let mut mixed = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_one_with_less_to_do_gets_more_and_a_preferred_one_all() {
        let loads = [9, 0, 9];
        let all = Set::of(3, |_| true);
        let mut counts = [0; 3];
        for count in 0..3_000 {
            let chosen = choose(3, all, Set::default(), None, scatter(count), |at| loads[at]);
            counts[chosen.unwrap()] += 1;
        }
        // Of the three pairs two have the idle one.
        assert!((1_900..2_100).contains(&counts[1]), "{counts:?}");
        assert!(counts[0] > 300 && counts[2] > 300, "{counts:?}");
        for count in 0..100 {
            let chosen = choose(3, all, Set::default(), Some(2), scatter(count), |at| {
                loads[at]
            });
            assert_eq!(chosen, Some(2));
        }
    }

    proptest! {
        /// Only what is up and was not tried is chosen, or what was not tried when nothing is up;
        /// and something is, as long as there is something.
        #[test]
        fn what_is_chosen_is_up_and_was_not_tried(
            count in 1_usize..=32,
            up in any::<u32>(),
            tried in any::<u32>(),
            preferred in proptest::option::of(0_usize..32),
            roll in any::<u64>(),
        ) {
            let in_list = |bits: u32| Set::of(count, |at| bits & (1 << at) != 0);
            let (up, tried) = (in_list(up), in_list(tried));
            let preferred = preferred.filter(|at| *at < count);
            let chosen = choose(count, up, tried, preferred, roll, |at| at % 3);
            let is_open = |at: usize| {
                (up == Set::default() || up.has(at)) && !tried.has(at)
            };
            match chosen {
                Some(chosen) => prop_assert!(chosen < count && is_open(chosen)),
                None => prop_assert!(!(0..count).any(is_open)),
            }
            if let Some(preferred) = preferred.filter(|at| is_open(*at)) {
                prop_assert_eq!(chosen, Some(preferred));
            }
        }
    }
}
