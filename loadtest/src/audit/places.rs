//! PLACE-ONCE and NO-LOSS: no place lost, none given twice.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use contract::line::PlaceState;

use super::finding::Finding;
use crate::evidence::{Evidence, FanRecord, LastLook};

/// Order keys from here on are handed out in order of arrival; smaller ones are drawn by lot,
/// where two fans may draw the same number.
pub(super) const LIVE_KEYS_FROM: u64 = 1 << 52;

/// Every fan who got a place is called, inside, or still known at the end.
pub(super) fn lost(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("places lost");
    let called: HashSet<u64> = evidence
        .log
        .iter()
        .filter_map(|record| record.order_key.parse().ok())
        .collect();
    let mut held = 0;
    let mut lost = 0;
    let mut unseen = 0;
    for fan in evidence.fans.iter().filter(|fan| fan.token.is_some()) {
        held += 1;
        unseen += usize::from(fan.passes.is_empty() && fan.last_look == LastLook::NotTaken);
        let in_log = fan.order_key.is_some_and(|key| called.contains(&key));
        let refused = fan.turned_away.as_ref();
        let refused = refused.map(|code| format!("the place was refused meanwhile: {code}"));
        if let Some(why) = refused.or_else(|| loss(fan).filter(|_| !in_log)) {
            lost += 1;
            finding.breach(format!("fan {}: {why}", fan.number));
        }
    }
    finding.count("places", held);
    finding.count("lost", lost);
    finding.count("notLookedAt", unseen);
    finding.sum_up(format!(
        "{lost} of {held} places lost; {unseen} not looked at in the end"
    ))
}

fn loss(fan: &FanRecord) -> Option<String> {
    if !fan.passes.is_empty() || fan.left_at.is_some() {
        return None;
    }
    match (&fan.last_look, fan.state) {
        (LastLook::Refused(code), _) => Some(format!("the place was refused at the end: {code}")),
        (_, Some(PlaceState::Left)) => Some("the place had left the line by itself".to_owned()),
        (_, None) => Some("the place never had a state".to_owned()),
        (LastLook::Found | LastLook::NotTaken, Some(_)) => None,
    }
}

/// No two fans share a place; joining again gives the same place.
pub(super) fn doubled(evidence: &Evidence) -> Finding {
    let mut finding = Finding::new("places doubled");
    let mut doubled = 0;
    let mut report = |what: &str, pairs: Vec<(u32, u32)>| {
        for (one, other) in pairs {
            doubled += 1;
            finding.breach(format!("fans {one} and {other} share {what}"));
        }
    };
    let fans = &evidence.fans;
    report("a place token", shared(fans, |fan| fan.token.clone()));
    report(
        "an order key",
        shared(fans, |fan| {
            fan.order_key.filter(|key| *key >= LIVE_KEYS_FROM)
        }),
    );
    report(
        "a place",
        shared(fans, |fan| fan.passes.first().map(|pass| pass.sub)),
    );
    let moved = |fan: &&FanRecord| !fan.missed && fan.left_at.is_none();
    for fan in fans.iter().filter(moved) {
        if let Some(former) = fan.former_keys.first() {
            doubled += 1;
            let now = fan.order_key.unwrap_or_default();
            finding.breach(format!(
                "fan {} was moved from order key {former} to {now}",
                fan.number
            ));
        }
    }
    let probes = fans.iter().filter_map(|fan| fan.rejoined_same).count();
    for fan in fans.iter().filter(|fan| fan.rejoined_same == Some(false)) {
        doubled += 1;
        finding.breach(format!(
            "fan {} got another place by joining again",
            fan.number
        ));
    }
    finding.count("doubled", doubled);
    finding.count("rejoins", probes);
    finding.sum_up(format!(
        "{doubled} places doubled; {probes} fans joined twice"
    ))
}

fn shared<K: Eq + Hash>(
    fans: &[FanRecord],
    key: impl Fn(&FanRecord) -> Option<K>,
) -> Vec<(u32, u32)> {
    let mut first = HashMap::new();
    let mut pairs = Vec::new();
    for fan in fans {
        if let Some(key) = key(fan)
            && let Some(other) = first.insert(key, fan.number)
        {
            pairs.push((other, fan.number));
        }
    }
    pairs
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole and half numbers are exact")]
mod tests {
    use super::super::finding::Verdict;
    use super::super::sample::{evidence, fan, pass};
    use super::*;

    #[test]
    fn known_places_are_not_lost() {
        let mut called_but_silent = fan(3);
        called_but_silent.last_look = LastLook::Refused("place-expired".to_owned());
        let mut evidence = evidence(vec![fan(1), fan(2), called_but_silent]);
        evidence.log = super::super::sample::log(&[3], 0);
        assert_eq!(lost(&evidence).verdict, Verdict::Pass);
    }

    #[test]
    fn refused_silent_and_dropped_places_are_lost() {
        let mut refused = fan(1);
        refused.last_look = LastLook::Refused("place-invalid".to_owned());
        let mut silent = fan(2);
        silent.state = None;
        let mut dropped = fan(3);
        dropped.state = Some(PlaceState::Left);
        let finding = lost(&evidence(vec![refused, silent, dropped]));
        assert_eq!(finding.verdict, Verdict::Fail);
        assert_eq!(finding.figures["lost"], 3.0);
    }

    #[test]
    fn leaving_on_purpose_loses_nothing() {
        let mut left = fan(1);
        left.state = Some(PlaceState::Left);
        left.left_at = left.joined_at;
        assert_eq!(lost(&evidence(vec![left])).verdict, Verdict::Pass);
    }

    #[test]
    fn a_shared_token_key_or_place_is_caught() {
        assert_eq!(
            doubled(&evidence(vec![fan(1), fan(2)])).verdict,
            Verdict::Pass
        );
        let mut token = fan(2);
        token.token = fan(1).token;
        let mut key = fan(2);
        key.order_key = fan(1).order_key;
        let mut one = fan(1);
        one.passes = vec![pass(9, 1, "s1")];
        let mut place = fan(2);
        place.passes = vec![pass(9, 2, "s2")];
        for pair in [[fan(1), token], [fan(1), key], [one, place]] {
            let finding = doubled(&evidence(pair.to_vec()));
            assert_eq!(finding.verdict, Verdict::Fail, "{finding:?}");
        }
    }

    #[test]
    fn a_place_that_is_refused_while_it_waits_is_lost() {
        let mut refused = fan(1);
        refused.turned_away = Some("place-invalid".to_owned());
        let mut evidence = evidence(vec![refused]);
        evidence.log = super::super::sample::log(&[1], 0);
        assert_eq!(lost(&evidence).verdict, Verdict::Fail);
    }

    #[test]
    fn a_fan_who_is_moved_is_caught_unless_a_turn_was_missed() {
        let mut moved = fan(1);
        moved.learns_key(LIVE_KEYS_FROM + 900);
        assert_eq!(
            doubled(&evidence(vec![moved.clone()])).verdict,
            Verdict::Fail
        );
        moved.missed = true;
        assert_eq!(doubled(&evidence(vec![moved])).verdict, Verdict::Pass);
        let mut same = fan(1);
        same.learns_key(LIVE_KEYS_FROM + 1);
        assert_eq!(doubled(&evidence(vec![same])).verdict, Verdict::Pass);
    }

    #[test]
    fn a_second_place_for_the_same_nonce_is_caught() {
        let mut again = fan(1);
        again.rejoined_same = Some(false);
        assert_eq!(doubled(&evidence(vec![again])).verdict, Verdict::Fail);
    }
}
