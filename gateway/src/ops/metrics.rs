//! What is recorded of the process, in Prometheus' text form.

use metric_families::{Family, Kind, describe};
use metrics::gauge;
use metrics_exporter_prometheus::{
    BuildError, Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder,
};
use metrics_process::Collector;

use crate::telemetry::BUILD_INFO;

/// The metrics that were recorded in this process.
#[derive(Clone, Debug)]
pub struct Metrics {
    handle: PrometheusHandle,
    process: Collector,
    embedded: &'static [Family],
}

/// Every family of the gateway, and those of the service that is embedded in it.
pub fn families(embedded: &'static [Family]) -> impl Iterator<Item = &'static Family> {
    [
        metric_families::breaches::FAMILIES,
        web::telemetry::FAMILIES,
        line::telemetry::FAMILIES,
        crate::telemetry::FAMILIES,
        crate::edge::telemetry::FAMILIES,
        crate::proxy::telemetry::FAMILIES,
        embedded,
    ]
    .into_iter()
    .flatten()
}

impl Metrics {
    /// Records in the whole process from now on. Fails when something else does already.
    pub fn install(embedded: &'static [Family]) -> anyhow::Result<Self> {
        let (recorder, metrics) = Self::detached(embedded)?;
        metrics::set_global_recorder(recorder)
            .map_err(|_| anyhow::anyhow!("another recorder of metrics is installed"))?;
        metrics.describe();
        gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(metrics)
    }

    /// A recorder that is not installed, and what it records.
    pub fn detached(embedded: &'static [Family]) -> Result<(PrometheusRecorder, Self), BuildError> {
        let mut builder = PrometheusBuilder::new();
        for family in families(embedded) {
            if let Kind::Histogram(buckets) = family.kind {
                let name = Matcher::Full(family.name.to_owned());
                builder = builder.set_buckets_for_metric(name, buckets)?;
            }
        }
        let recorder = builder.build_recorder();
        let metrics = Self {
            handle: recorder.handle(),
            process: Collector::default(),
            embedded,
        };
        Ok((recorder, metrics))
    }

    /// Gives every help text to the recorder that is in force.
    pub fn describe(&self) {
        families(self.embedded).for_each(describe);
        self.process.describe();
    }

    /// What was recorded until now, without what belongs to rooms and upstreams that `has` does not
    /// know by label and value: those are there no more, and their series go with them.
    pub fn render(&self, has: impl Fn(&str, &str) -> bool) -> String {
        self.process.collect();
        let all = self.handle.render();
        let is_shown = |line: &&str| {
            let mut owners = OWNERS.iter();
            owners.all(|name| value_of(line, name).is_none_or(|value| has(name, value)))
        };
        all.split_inclusive('\n').filter(is_shown).collect()
    }

    /// Merges what was recorded since the last time, which bounds the memory that it takes.
    pub fn run_upkeep(&self) {
        self.handle.run_upkeep();
    }
}

/// Labels of what comes and goes with the settings of rooms. Their values need no escapes.
const OWNERS: [&str; 2] = ["room", "upstream"];

/// The value of a label of a sample, if it has the label.
fn value_of<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let (_, labels) = line.split_once('{')?;
    let is_label = |at: usize| {
        let is_first = at == 0 || labels.as_bytes()[at - 1] == b',';
        is_first && labels[at + name.len()..].starts_with("=\"")
    };
    let (at, _) = labels.match_indices(name).find(|(at, _)| is_label(*at))?;
    let (value, _) = labels[at + name.len() + 2..].split_once('"')?;
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_room_of_a_sample_is_its_label_and_nothing_else() {
        for (line, room) in [
            (r#"a_total{room="eras",outcome="idle"} 3"#, Some("eras")),
            (
                r#"a_bucket{outcome="idle",room="eras",le="0.5"} 3"#,
                Some("eras"),
            ),
            (r#"a_total{bedroom="eras"} 3"#, None),
            (r#"a_total{route="/rooms/{room}"} 3"#, None),
            ("a_total 3", None),
        ] {
            assert_eq!(value_of(line, "room"), room, "{line}");
        }
    }
}
