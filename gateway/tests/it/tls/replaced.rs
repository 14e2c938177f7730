//! Certificates that are replaced while they are in force.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use gateway::edge::certificate::PairFiles;
use test_support::certificates::Certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{pair, server};
use crate::serving::Server;

/// A client that believes these authorities and resumes nothing.
fn connector(authorities: &[&Path]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        let pem = std::fs::read(authority).unwrap();
        roots
            .add(CertificateDer::from_pem_slice(&pem).unwrap())
            .unwrap();
    }
    let crypto = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut config = config;
    config.resumption = tokio_rustls::rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

/// Asks once over a connection of its own. The certificate that was shown.
async fn ask(connector: &TlsConnector, server: &Server) -> std::io::Result<Vec<u8>> {
    let stream = TcpStream::connect(server.addr).await?;
    let name = ServerName::from(std::net::IpAddr::from([127, 0, 0, 1]));
    let mut stream = connector.connect(name, stream).await?;
    let head = b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    if !answer.ends_with(b"here") {
        return Err(std::io::Error::other(String::from_utf8_lossy(&answer)));
    }
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    Ok(chain[0].to_vec())
}

/// The first certificate in a file.
fn der(file: &Path) -> Vec<u8> {
    CertificateDer::from_pem_slice(&std::fs::read(file).unwrap())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn a_pair_is_replaced_in_two_steps_under_load_and_nobody_notices() {
    let (old, new) = (Certificates::make(), Certificates::make());
    let home = tempfile::tempdir().unwrap();
    let files = PairFiles {
        cert: home.path().join("tls.pem"),
        key: home.path().join("tls.key"),
    };
    std::fs::copy(old.server(), &files.cert).unwrap();
    std::fs::copy(old.key(), &files.key).unwrap();
    let (server, mut reread) = server(files.clone());
    let server = Arc::new(server);
    let connector = connector(&[&old.authority(), &new.authority()]);
    let stop = CancellationToken::new();
    let asked = Arc::new(AtomicUsize::new(0));
    let clients = TaskTracker::new();
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (stop, server) = (stop.clone(), server.clone());
            let (connector, asked) = (connector.clone(), asked.clone());
            clients.spawn(async move {
                let mut failures = Vec::new();
                while !stop.is_cancelled() {
                    if let Err(error) = ask(&connector, &server).await {
                        failures.push(error.to_string());
                    }
                    asked.fetch_add(1, Ordering::Relaxed);
                }
                failures
            })
        })
        .collect();
    let (old_der, new_der) = (der(&old.server()), der(&new.server()));
    let shown = async || ask(&connector, &server).await.unwrap();
    let pause = || tokio::time::sleep(Duration::from_millis(200));
    for round in 0..3 {
        let (from, to, before, after) = if round % 2 == 0 {
            (&old, &new, &old_der, &new_der)
        } else {
            (&new, &old, &new_der, &old_der)
        };
        assert_eq!(&shown().await, before);
        // By a rename, as tools that give certificates do it.
        let next = home.path().join("next");
        std::fs::copy(to.server(), &next).unwrap();
        std::fs::rename(&next, &files.cert).unwrap();
        assert!(!reread.look_once(), "half a pair was taken");
        assert_eq!(&shown().await, before, "{:?}", from.server());
        pause().await;
        // In place.
        std::fs::copy(to.key(), &files.key).unwrap();
        assert!(reread.look_once());
        assert!(!reread.look_once());
        assert_eq!(&shown().await, after);
        pause().await;
    }
    stop.cancel();
    let mut failures = Vec::new();
    for client in asking {
        failures.extend(client.await.unwrap());
    }
    let asked = asked.load(Ordering::Relaxed);
    println!("{asked} connections");
    assert_eq!(failures, Vec::<String>::new());
    assert!(asked > 50, "{asked}");
}

#[tokio::test]
async fn a_bad_pair_leaves_the_one_before_in_force() {
    let (old, other) = (Certificates::make(), Certificates::make());
    let home = tempfile::tempdir().unwrap();
    let files = PairFiles {
        cert: home.path().join("tls.pem"),
        key: home.path().join("tls.key"),
    };
    std::fs::copy(old.server(), &files.cert).unwrap();
    std::fs::copy(old.key(), &files.key).unwrap();
    let (server, mut reread) = server(files.clone());
    let connector = connector(&[&old.authority()]);
    for (cert, key) in [
        (std::fs::read(other.server()).unwrap(), None),
        (b"no certificate".to_vec(), None),
        (Vec::new(), None),
        (
            std::fs::read(old.server()).unwrap(),
            Some(b"no key".to_vec()),
        ),
    ] {
        std::fs::write(&files.cert, cert).unwrap();
        if let Some(key) = key {
            std::fs::write(&files.key, key).unwrap();
        }
        assert!(!reread.look_once());
        assert!(!reread.look_once());
        assert_eq!(ask(&connector, &server).await.unwrap(), der(&old.server()));
    }
    std::fs::remove_file(&files.cert).unwrap();
    assert!(!reread.look_once());
    assert_eq!(ask(&connector, &server).await.unwrap(), der(&old.server()));
    // What belongs together is taken at last.
    let good = pair(&old);
    std::fs::copy(good.cert, &files.cert).unwrap();
    std::fs::copy(good.key, &files.key).unwrap();
    assert!(reread.look_once());
}
