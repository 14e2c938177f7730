//! Metric families: name, kind, help text and buckets, declared once beside the code that records
//! them with [`declare!`].
//!
//! Prometheus' conventions hold: base units, the unit last in the name, counters end in `_total`
//! (<https://prometheus.io/docs/practices/naming/>).

pub mod breaches;

/// How a family behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts values by bucket. The upper bounds are inclusive and ascending; the bucket without
    /// an upper bound is added by the exporter.
    Histogram(&'static [f64]),
}

/// A metric family.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Family {
    /// The name, unit last.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// The help text that is served with it.
    pub help: &'static str,
}

/// Upper bounds in seconds for what a person or a program waits for: half a millisecond to
/// ten seconds.
pub const LATENCY_SECONDS: &[f64] = &[
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds in seconds for waits in a line: a second to a day.
pub const WAIT_SECONDS: &[f64] = &[
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 14_400.0, 28_800.0, 86_400.0,
];

/// Upper bounds for sizes of batches: one to 512.
pub const BATCH_SIZES: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

/// Upper bounds for relative differences: one in a hundred to double.
pub const RATIOS: &[f64] = &[0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0];

/// Gives the help text of `family` to the metrics recorder of the process.
pub fn describe(family: &Family) {
    match family.kind {
        Kind::Counter => metrics::describe_counter!(family.name, family.help),
        Kind::Gauge => metrics::describe_gauge!(family.name, family.help),
        Kind::Histogram(_) => metrics::describe_histogram!(family.name, family.help),
    }
}

/// Declares a constant for the name of each family, and `FAMILIES`, which lists them all. The
/// documentation of a family is its help text.
///
/// ```
/// metric_families::declare! {
///     /// Open doors.
///     pub gauge DOORS = "example_doors";
///     /// Time until a door is open.
///     pub histogram(metric_families::LATENCY_SECONDS) OPENING = "example_opening_seconds";
/// }
/// assert_eq!(DOORS, FAMILIES[0].name);
/// assert_eq!(FAMILIES[1].help, "Time until a door is open.");
/// ```
#[macro_export]
macro_rules! declare {
    ($($(#[doc = $help:literal])+ $vis:vis $kind:ident $(($buckets:expr))? $id:ident = $name:literal;)+) => {
        $($(#[doc = $help])+ $vis const $id: &str = $name;)+

        /// Every family that is declared here.
        pub const FAMILIES: &[$crate::Family] = &[$($crate::Family {
            name: $name,
            kind: $crate::declare!(@kind $kind $($buckets)?),
            help: concat!($($help),+).trim_ascii(),
        }),+];
    };
    (@kind counter) => { $crate::Kind::Counter };
    (@kind gauge) => { $crate::Kind::Gauge };
    (@kind histogram $buckets:expr) => { $crate::Kind::Histogram($buckets) };
}
