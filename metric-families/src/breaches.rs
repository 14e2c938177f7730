//! Broken promises that production code comes upon.

crate::declare! {
    /// Breaches of a promise that this gateway came upon, by the promise's name. Should stay at zero.
    pub counter INVARIANT_BREACHES = "ropeline_invariant_breaches_total";
}

/// Counts `count` breaches of the promise with this name.
pub fn breached(invariant: &'static str, count: u64) {
    metrics::counter!(INVARIANT_BREACHES, "name" => invariant).increment(count);
}
