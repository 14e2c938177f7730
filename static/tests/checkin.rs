//! The scanner page and its worker.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::Path;

use pages::{CHECKIN_POLICY, asset, asset_url, checkin, checkin_worker};

/// The files that the worker keeps.
fn kept() -> BTreeSet<String> {
    let worker = checkin_worker();
    let list = worker.split("ROPELINE_FILES = ").nth(1).unwrap();
    serde_json::from_str(list.split(";\n").next().unwrap()).unwrap()
}

/// What a script imports, as paths of assets.
fn imports(path: &str) -> Vec<String> {
    let source = asset(path).unwrap_or_else(|| panic!("{path} is no asset"));
    let source = std::str::from_utf8(source.bytes).unwrap();
    let folder = path.rsplit_once('/').unwrap().0;
    let from = source
        .split("from \"")
        .skip(1)
        .chain(source.split("from './").skip(1));
    let dynamic = source.split("import(\"").skip(1);
    let named = from
        .chain(dynamic)
        .filter_map(|rest| rest.split(['"', '\'']).next());
    named
        .filter(|name| Path::new(name).extension().is_some_and(|it| it == "js"))
        .map(|name| {
            let name = name.strip_prefix("./").unwrap_or(name);
            match name.strip_prefix("../") {
                Some(rest) => format!("{}/{rest}", folder.rsplit_once('/').unwrap().0),
                None => format!("{folder}/{name}"),
            }
        })
        .collect()
}

#[test]
fn the_worker_keeps_everything_that_the_page_needs() {
    let (html, kept) = (checkin(), kept());
    assert!(kept.contains("/checkin/"));
    let named = html
        .split(['"', ' '])
        .filter(|part| part.starts_with(pages::ASSET_PREFIX));
    let mut count = 0;
    for url in named {
        assert!(kept.contains(url), "{url}");
        count += 1;
    }
    assert!(count >= 6, "{html}");
    let mut waiting = vec!["js/checkin/main.js".to_owned()];
    let mut reached = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        if reached.insert(path.clone()) {
            assert!(kept.contains(&asset_url(&path)), "{path}");
            waiting.extend(imports(&path));
        }
    }
    for part in ["qr/index.js", "qr/decode.js", "noble-ed25519/index.js"] {
        assert!(
            reached.contains(&format!("js/vendor/{part}")),
            "{reached:?}"
        );
    }
}

#[test]
fn the_page_runs_under_a_policy_without_exceptions() {
    assert!(CHECKIN_POLICY.contains("default-src 'none'") && !CHECKIN_POLICY.contains("unsafe"));
    let html = checkin();
    for forbidden in [" style=", "<style", " onclick", "javascript:"] {
        assert!(!html.contains(forbidden), "{forbidden}");
    }
    for script in html.split("<script").skip(1) {
        assert!(
            script.starts_with(" type=\"module\" src=\"/_line/static/"),
            "{script}"
        );
    }
    for path in ["js/vendor/qr/decode.js", "js/vendor/noble-ed25519/index.js"] {
        let bytes = asset(path).unwrap().bytes;
        let source = std::str::from_utf8(bytes).unwrap();
        assert!(
            !source.contains("eval(") && !source.contains("new Function"),
            "{path}"
        );
    }
}

#[test]
fn every_element_that_the_script_looks_for_is_on_the_page() {
    let html = checkin();
    let script = asset("js/checkin/main.js").unwrap();
    let script = std::str::from_utf8(script.bytes).unwrap();
    let named = script
        .split("element(\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for id in named {
        assert!(html.contains(&format!("id=\"{id}\"")), "{id}");
        count += 1;
    }
    assert!(count > 20);
}
