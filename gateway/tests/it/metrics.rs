//! The metrics that are served: names, help texts, buckets, labels.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use gateway::ops::metrics::{Metrics, families};
use http::Request;
use line::meters::Meters;
use metric_families::{Family, Kind};
use metrics::{counter, gauge, histogram};
use tower::ServiceExt as _;
use web::{Part, RequestIds};

fn all() -> impl Iterator<Item = &'static Family> {
    families(booking_core::metric_families())
}

/// One sample of every family, as `/metrics` would show it.
fn sample_of_everything() -> String {
    let (recorder, metrics) = Metrics::detached(booking_core::metric_families()).unwrap();
    metrics::with_local_recorder(&recorder, || {
        metrics.describe();
        for family in all() {
            match family.kind {
                Kind::Counter => counter!(family.name).increment(1),
                Kind::Gauge => gauge!(family.name).set(1.0),
                Kind::Histogram(_) => histogram!(family.name).record(1.0),
            }
        }
        metrics.render(|_, _| true)
    })
}

#[test]
fn promtool_finds_nothing_to_complain_about() {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: scripts/install-servers --test installs it");
    let text = sample_of_everything();
    let mut input = promtool.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let said = promtool.wait_with_output().unwrap();
    let complaints =
        String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(
        said.status.success() && complaints.is_empty(),
        "{complaints}"
    );
}

#[test]
fn requests_are_counted_by_route_and_never_by_what_a_client_makes_up() {
    let (recorder, metrics) = Metrics::detached(&[]).unwrap();
    let ids = RequestIds::new(7);
    let rooms = Router::new().route("/rooms/{room}", get(|| async {}));
    let router = web::standard(rooms, Part::new("line"), ids);
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    metrics::with_local_recorder(&recorder, || {
        runtime.unwrap().block_on(async {
            for (method, path) in [
                ("GET", "/rooms/a"),
                ("GET", "/rooms/b"),
                ("BREW", "/rooms/a"),
                ("GET", "/x/1"),
                ("GET", "/x/2"),
            ] {
                let request = Request::builder().method(method).uri(path);
                let request = request.body(Body::empty()).unwrap();
                router.clone().oneshot(request).await.unwrap();
            }
        });
    });
    let text = metrics.render(|_, _| true);
    let counted = |labels: &str, count: u32| {
        let line = format!("ropeline_http_requests_total{{part=\"line\",{labels}}} {count}");
        assert!(text.lines().any(|other| other == line), "{line}\n{text}");
    };
    counted(r#"route="/rooms/{room}",method="GET",status="200""#, 2);
    counted(r#"route="/rooms/{room}",method="other",status="405""#, 1);
    counted(r#"route="other",method="GET",status="404""#, 2);
    let measured = r#"ropeline_http_request_seconds_count{part="line",route="/rooms/{room}"} 3"#;
    assert!(text.contains(measured), "{text}");
}

#[test]
fn histograms_have_buckets_and_every_family_a_help_text_and_one_name() {
    let text = sample_of_everything();
    for of_process in [
        "process_cpu_seconds_total",
        "process_max_fds",
        "process_open_fds",
        "process_resident_memory_bytes",
        "process_start_time_seconds",
        "process_threads",
    ] {
        assert!(text.contains(&format!("\n{of_process} ")), "{of_process}");
    }
    let mut names = BTreeSet::new();
    for family in all() {
        assert!(
            names.insert(family.name),
            "{} is declared twice",
            family.name
        );
        assert!(text.contains(&format!("# HELP {} {}", family.name, family.help)));
        if let Kind::Histogram(buckets) = family.kind {
            assert!(buckets.is_sorted(), "{}", family.name);
            assert!(text.contains(&format!("{}_bucket{{le=", family.name)));
        }
    }
    assert!(names.len() > 40, "{}", names.len());
}

#[test]
fn what_belongs_to_an_upstream_that_is_gone_is_not_shown() {
    let (recorder, metrics) = Metrics::detached(&[]).unwrap();
    metrics::with_local_recorder(&recorder, || {
        for upstream in ["10.0.0.5:3000", "https://10.0.0.5:3000"] {
            gauge!("ropeline_proxy_upstream_up", "upstream" => upstream).set(0.0);
        }
    });
    let left = metrics.render(|name, value| name != "upstream" || value.starts_with("https"));
    let shown: Vec<_> = left
        .lines()
        .filter(|line| line.starts_with("ropeline_proxy_upstream_up"))
        .collect();
    let expected = r#"ropeline_proxy_upstream_up{upstream="https://10.0.0.5:3000"} 0"#;
    assert_eq!(shown, [expected]);
}

#[test]
fn what_belongs_to_a_room_that_is_gone_is_not_shown() {
    let (recorder, metrics) = Metrics::detached(&[]).unwrap();
    metrics::with_local_recorder(&recorder, || {
        for room in ["eras", "encore"] {
            let meters = Meters::of(&room.parse().unwrap());
            meters.sockets.set(2.0);
            meters.gate.refused.increment(1);
            meters.tick_seconds.record(0.1);
        }
    });
    let lines = |text: &str, words: &str| text.lines().filter(|line| line.contains(words)).count();
    let both = metrics.render(|_, _| true);
    assert!(lines(&both, r#"room="eras""#) > 10, "{both}");
    let left = metrics.render(|name, value| name != "room" || value == "encore");
    assert_eq!(lines(&left, r#"room="eras""#), 0, "{left}");
    let of_one = lines(&both, r#"room="encore""#);
    assert_eq!(lines(&left, r#"room="encore""#), of_one);
    let refused = r#"ropeline_gate_requests_total{room="encore",outcome="refused"} 1"#;
    assert_eq!(lines(&left, refused), 1, "{left}");
}
