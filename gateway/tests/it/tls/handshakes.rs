//! Versions, ciphers, protocols, sessions, and clients that are slow.

use std::time::Duration;

use gateway::edge::serve::ServeConfig;
use test_support::certificates::Certificates;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use web::RequestIds;

use super::{curl, pair, ran, server, server_with};
use crate::serving::{Server, within};

/// What `openssl s_client` says of the server, and whether it was content.
async fn s_client(server: &Server, authority: &str, more: &[&str]) -> (bool, String) {
    let address = server.addr.to_string();
    let always = [
        "s_client",
        "-connect",
        &address,
        "-CAfile",
        authority,
        "-verify_return_error",
    ];
    let ran = ran("openssl", &[&always[..], more].concat()).await;
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    (ran.status.success(), said)
}

#[tokio::test]
async fn curl_speaks_both_versions_of_http_over_tls() {
    let certificates = Certificates::make();
    let (server, _) = server(pair(&certificates));
    let url = format!("https://{}/", server.addr);
    let print = ["-w", " %{http_version}"];
    for (version, spoken) in [("--http2", "2"), ("--http1.1", "1.1"), ("--no-alpn", "1.1")] {
        let said = curl(
            &certificates.authority(),
            &url,
            &[version, print[0], print[1]],
        )
        .await;
        assert_eq!(said, format!("here {spoken}"), "{version}");
    }
}

#[tokio::test]
async fn old_versions_and_weak_ciphers_are_refused() {
    let certificates = Certificates::make();
    let (server, _) = server(pair(&certificates));
    let authority = certificates.authority();
    let authority = authority.to_str().unwrap();
    for accepted in [
        &["-tls1_3"][..],
        &["-tls1_2"],
        &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
    ] {
        let (is_good, said) = s_client(&server, authority, accepted).await;
        assert!(
            is_good && said.contains("Verify return code: 0"),
            "{accepted:?}: {said}"
        );
    }
    let all = "DEFAULT:@SECLEVEL=0";
    for refused in [
        &["-tls1", "-cipher", all][..],
        &["-tls1_1", "-cipher", all],
        &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"],
        &[
            "-tls1_2",
            "-cipher",
            "ECDHE-ECDSA-AES256-SHA384:@SECLEVEL=0",
        ],
        &["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "DHE:!ECDHE:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "CAMELLIA:@SECLEVEL=0"],
        &["-tls1_2", "-cipher", "SHA1:SHA256:SHA384:@SECLEVEL=0"],
        &["-tls1_2", "-sigalgs", "ECDSA+SHA1"],
        &["-alpn", "h3"],
    ] {
        let (is_good, said) = s_client(&server, authority, refused).await;
        assert!(!is_good, "{refused:?}: {said}");
    }
}

#[tokio::test]
async fn nothing_is_negotiated_again_or_compressed_and_the_protocol_is_the_best_of_both() {
    let certificates = Certificates::make();
    let (server, _) = server(pair(&certificates));
    let authority = certificates.authority();
    let authority = authority.to_str().unwrap();
    let (is_good, said) = s_client(&server, authority, &["-tls1_2", "-comp"]).await;
    assert!(is_good && said.contains("Compression: NONE"), "{said}");
    assert!(said.contains("Secure Renegotiation IS supported"), "{said}");
    for (offered, spoken) in [
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
    ] {
        let (_, said) = s_client(&server, authority, &["-alpn", offered]).await;
        assert!(said.contains(spoken), "{said}");
    }
    // `R` has the client ask for another handshake.
    let again = format!(
        "(printf 'R\\n'; sleep 1) | timeout 20 openssl s_client -connect {} -CAfile '{authority}' \
         -tls1_2 2>&1",
        server.addr
    );
    let again = ran("sh", &["-c", &again]).await;
    let said = String::from_utf8_lossy(&again.stdout).into_owned();
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(said.contains("no renegotiation"), "{said}");
}

#[tokio::test]
async fn sessions_are_resumed_on_every_core_and_take_no_early_data() {
    let certificates = Certificates::make();
    let (server, _) = server(pair(&certificates));
    let authority = certificates.authority();
    let authority = authority.to_str().unwrap();
    let kept = tempfile::tempdir().unwrap();
    for version in ["-tls1_2", "-tls1_3"] {
        let session = kept.path().join(version);
        let session = session.to_str().unwrap();
        // With TLS 1.3 the ticket follows the handshake: an answer is waited for.
        let ask = format!(
            "printf 'GET / HTTP/1.0\\r\\nhost: x\\r\\n\\r\\n' | timeout 20 openssl s_client \
             -connect {} -CAfile '{authority}' -quiet {version} -sess_out '{session}'",
            server.addr
        );
        let first = ran("sh", &["-c", &ask]).await;
        assert!(
            String::from_utf8_lossy(&first.stdout).ends_with("here"),
            "{first:?}"
        );
        // The kernel spreads these over both cores.
        for _ in 0..8 {
            let again = s_client(&server, authority, &[version, "-sess_in", session]).await;
            assert!(again.1.contains("Reused, "), "{version}: {}", again.1);
            assert!(!again.1.contains("Early data was accepted"), "{}", again.1);
        }
    }
}

#[tokio::test]
async fn clients_that_do_not_finish_a_handshake_are_let_go_and_hinder_nobody() {
    let certificates = Certificates::make();
    let config = ServeConfig {
        head_max: Duration::from_millis(500),
        ..ServeConfig::public("test", RequestIds::new(1))
    };
    let (server, _) = server_with(pair(&certificates), config);
    let began = Instant::now();
    let mut slow = Vec::new();
    for at in 0..200 {
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        if at % 2 == 0 {
            // The beginning of a hello.
            stream
                .write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03")
                .await
                .unwrap();
        }
        slow.push(stream);
    }
    let url = format!("https://{}/", server.addr);
    assert_eq!(curl(&certificates.authority(), &url, &[]).await, "here");
    for mut stream in slow {
        let mut rest = Vec::new();
        // Closed or reset: bytes of the hello may be unread.
        let _end = within("the end", stream.read_to_end(&mut rest)).await;
    }
    assert!(began.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn plain_http_is_not_answered_over_tls() {
    let certificates = Certificates::make();
    let (server, _) = server(pair(&certificates));
    let mut stream = TcpStream::connect(server.addr).await.unwrap();
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    within("the end", stream.read_to_end(&mut answer))
        .await
        .ok();
    assert!(!answer.windows(4).any(|four| four == b"here"), "{answer:?}");
}
