//! Orders that are filled.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use contract::{Clock, ManualClock};
use gateway::acme::keeper::Looked;
use gateway::acme::kept::Kept;

use super::{Pebble, clock, keeper, site};
use crate::tls::ran;

const NAMES: [&str; 2] = ["tickets.test", "www.tickets.test"];

fn now(clock: &ManualClock) -> Duration {
    Duration::from_millis(clock.now().as_ms().try_into().unwrap())
}

/// Everything in the directory, and that nobody but its owner may read it.
fn kept_files(directory: &Path) -> Vec<String> {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(directory), 0o700);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let within = kept_files(&path);
            names.extend(within.iter().map(|file| format!("{name}/{file}")));
        } else {
            assert_eq!(mode(&path), 0o600, "{name}");
            names.push(name);
        }
    }
    names.sort();
    names
}

#[tokio::test]
async fn a_certificate_is_got_kept_over_restarts_and_renewed_with_a_third_of_its_time_left() {
    let home = tempfile::tempdir().unwrap();
    let kept_in = home.path().join("acme");
    let site = site(&kept_in).await;
    let pebble = Pebble::start(site.addr.port(), 0).await;
    let authority = (&*pebble.url(), &*pebble.certificates.authority());
    let clock = clock();
    let (mut first, wanted) = keeper(authority, &NAMES, &kept_in, &clock);
    assert_eq!(first.look_once().await.unwrap(), Looked::Ordered);
    assert_eq!(
        kept_files(&kept_in),
        ["account.json", "certificate.pem", "lead"]
    );

    // It is of the authority, and for the names.
    let kept = Kept::at(kept_in.clone());
    let file = kept.files().cert;
    let (root, file) = (pebble.root().await, file.to_str().unwrap());
    let root = root.to_str().unwrap();
    let verified = ran(
        "openssl",
        &["verify", "-CAfile", root, "-untrusted", file, file],
    )
    .await;
    assert!(verified.status.success(), "{verified:?}");
    let names = ["x509", "-noout", "-ext", "subjectAltName", "-in", file];
    let names = ran("openssl", &names).await.stdout;
    let names = String::from_utf8_lossy(&names).into_owned();
    for name in NAMES {
        assert!(names.contains(&format!("DNS:{name}")), "{names}");
    }

    // Nothing is ordered before it is time, by another process neither.
    let validity = kept.certificate(&wanted).unwrap();
    let lifetime = validity.ends_at.checked_sub(validity.begins_at).unwrap();
    let looked = first.look_once().await.unwrap();
    let Looked::WaitsUntil(at) = looked else {
        panic!("{looked:?}")
    };
    let left = validity.ends_at.checked_sub(at).unwrap();
    assert!(left <= lifetime / 3 && left + Duration::from_secs(1) >= lifetime * 3 / 10);
    let (mut second, _) = keeper(authority, &NAMES, &kept_in, &clock);
    assert_eq!(second.look_once().await.unwrap(), Looked::Follows);
    drop(first);
    let before = std::fs::read(file).unwrap();
    let account = std::fs::read(kept_in.join("account.json")).unwrap();
    assert!(matches!(
        second.look_once().await.unwrap(),
        Looked::WaitsUntil(_)
    ));
    assert_eq!(std::fs::read(file).unwrap(), before);

    // When it is, by the account that there is.
    let until = validity.ends_at.checked_sub(lifetime * 3 / 10).unwrap();
    let ahead = until.checked_sub(now(&clock)).unwrap();
    clock.advance(ahead + Duration::from_millis(1));
    assert_eq!(second.look_once().await.unwrap(), Looked::Ordered);
    let renewed = std::fs::read(file).unwrap();
    assert_ne!(renewed, before);
    assert_eq!(
        std::fs::read(kept_in.join("account.json")).unwrap(),
        account
    );
    drop(second);

    // And at once when other names are wanted.
    let (mut third, other) = keeper(authority, &["other.test"], &kept_in, &clock);
    assert_eq!(kept.certificate(&other), None);
    assert_eq!(third.look_once().await.unwrap(), Looked::Ordered);
    assert!(kept.certificate(&other).is_some());
}

#[tokio::test]
async fn nonces_that_are_refused_are_exchanged() {
    let home = tempfile::tempdir().unwrap();
    let kept_in = home.path().join("acme");
    let site = site(&kept_in).await;
    let pebble = Pebble::start(site.addr.port(), 20).await;
    let clock = clock();
    let authority = pebble.certificates.authority();
    let (mut keeper, wanted) = keeper((&pebble.url(), &authority), &NAMES, &kept_in, &clock);
    // A request is tried three times, so by chance an order fails.
    for _ in 0..8 {
        if keeper.look_once().await.unwrap() == Looked::Ordered {
            break;
        }
        clock.advance(Duration::from_hours(8));
    }
    assert!(Kept::at(kept_in).certificate(&wanted).is_some());
}
