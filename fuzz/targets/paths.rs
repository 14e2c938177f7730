//! Paths and protected prefixes, as the gate reads them.
//!
//! A path that is accepted has one reading: read again, it is the same. A path below a prefix has
//! the prefix's segments, however it is spelled, and among the readings of a path is the one that the
//! gate takes.

#![no_main]

use contract::exempt::{Exemption, Exemptions};
use contract::path::{PathPrefix, SafePath};
use contract::readings::{Reading, readings};
use http::Method;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (raw, prefix) = text.split_once('\n').unwrap_or((text, "/"));
    let path = SafePath::parse(raw);
    if let Ok(path) = &path {
        normal(path);
    }
    if let Ok(prefix) = prefix.parse::<PathPrefix>() {
        // Settings have no escapes in prefixes.
        if !prefix.as_str().contains('%') {
            let again: PathPrefix = prefix.to_string().parse().expect("a prefix can be written");
            assert!(again.is_same(&prefix), "{prefix}");
        }
        assert_eq!(prefix.names().count(), prefix.depth());
        if let Ok(path) = &path {
            protected(path, &prefix);
        }
        covered(raw, &prefix);
    }
    exempt(raw, &path);
});

fn normal(path: &SafePath<'_>) {
    let decoded = path.as_str();
    assert!(
        decoded.starts_with('/') && !decoded.contains("//"),
        "{decoded:?}"
    );
    assert!(!decoded.chars().any(char::is_control), "{decoded:?}");
    for segment in decoded.split('/') {
        assert!(segment != "." && segment != "..", "{decoded:?}");
    }
    // A single percent sign that was encoded stands for itself and cannot be read once more.
    if !decoded.contains('%') {
        let again = SafePath::parse(decoded).expect("a decoded path is a path");
        assert_eq!(again.as_str(), decoded);
        assert!(again.names().eq(path.names()), "{decoded:?}");
    }
}

fn protected(path: &SafePath<'_>, prefix: &PathPrefix) {
    let names: Vec<_> = path.names().collect();
    let wanted: Vec<_> = prefix.names().collect();
    let begins = names.len() >= wanted.len() && names.iter().zip(&wanted).all(|(a, b)| a == b);
    assert_eq!(path.is_within(prefix), begins, "{path:?} {prefix}");
}

/// Whoever reads the path as another server does finds no protected page that the gate does not.
fn covered(raw: &str, prefix: &PathPrefix) {
    if let (Ok(path), Ok(all)) = (SafePath::parse(raw), readings(raw))
        && path.is_within(prefix)
    {
        let mut named = all.iter().filter(|reading| **reading != Reading::Nothing);
        let is_found = prefix.names().all(|name| match named.next() {
            Some(Reading::Name(read)) => read == name,
            Some(Reading::Like(pattern)) => pattern.may_be(name),
            Some(Reading::Nothing) | None => false,
        });
        assert!(is_found, "no reading of {raw:?} is within {prefix}");
    }
}

fn exempt<E>(text: &str, path: &Result<SafePath<'_>, E>) {
    let Ok(one) = text.parse::<Exemption>() else {
        return;
    };
    let again: Exemption = one.to_string().parse().unwrap_or_else(|_| one.clone());
    assert_eq!(again, one, "{text:?}");
    if let (Ok(path), Some(prefix)) = (path, one.prefix()) {
        let all = Exemptions::read(&[text.to_owned()]);
        if all.cover(Some(&Method::GET), path) {
            assert!(path.as_str().starts_with(prefix), "{path:?} {prefix}");
        }
    }
}
