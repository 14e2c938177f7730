//! Numbers of purchases, and what is measured over some of them.

use std::time::Duration;

use crate::rounds::Sample;

/// Numbers of purchases, given out one after another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub from: u32,
    pub until: u32,
}

/// What purchases with these numbers took.
pub(crate) fn sample(numbers: Numbers, took: Duration, used: Duration) -> Sample {
    let count = f64::from(numbers.until - numbers.from);
    Sample {
        per_second: count / took.as_secs_f64(),
        cpu_micros: used.as_secs_f64() * 1e6 / count,
    }
}
