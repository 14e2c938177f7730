//! What the clients of payment providers, of text messages and of push services share: TLS, limits, and what a failed call means.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use http::header::USER_AGENT;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::provider::ProviderError;
use crate::config::PROVIDER_TIMEOUT;
use crate::telemetry;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long a connection is kept for the next request.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Longest answer. A page of a listing has some hundred kilobytes.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How we name ourselves.
const AGENT: &str = concat!("ropeline/", env!("CARGO_PKG_VERSION"));
/// Wait after a 429 without `Retry-After`.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(2);
/// Longest wait that a provider may ask for.
const RATE_LIMIT_WAIT_MAX: Duration = Duration::from_mins(10);

/// Why the client of a payment provider could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The additional authorities cannot be read.
    #[error("the additional authorities cannot be read: {0}")]
    Authorities(String),
    /// TLS could not be set up.
    #[error("TLS could not be set up")]
    Tls(#[source] rustls::Error),
}

/// An HTTP client that verifies certificates by rustls.
///
/// Requests are put together by reqwest and sent by hyper: reqwest's own TLS is a feature of every
/// client in the program, and each of them would need the choice of a cryptography library.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    composer: reqwest::Client,
    sender: Client<HttpsConnector<HttpConnector>, reqwest::Body>,
}

impl HttpClient {
    /// A client that believes the authorities of the system, and those in `more_roots` (PEM).
    pub(crate) fn new(more_roots: Option<&[u8]>) -> Result<Self, ClientError> {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(more_roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            composer: reqwest::Client::new(),
            sender: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .build(connector),
        })
    }

    pub(super) fn get(&self, url: String) -> reqwest::RequestBuilder {
        self.composer.get(url)
    }

    pub(crate) fn post(&self, url: String) -> reqwest::RequestBuilder {
        self.composer.post(url)
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Answered, ProviderError> {
        let built = request.header(USER_AGENT, AGENT).build();
        let built = built.and_then(http::Request::<reqwest::Body>::try_from);
        let built = built.map_err(|error| ProviderError::NotSent(told(&error.without_url())))?;
        let exchange = async {
            let response = self
                .sender
                .request(built)
                .await
                .map_err(|error| failed(&error))?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            // Something was answered, so the request took effect or not: whatever breaks from here
            // on is unknown.
            let body = body.map_err(|error| ProviderError::Unavailable(error.to_string()))?;
            Ok(Answered {
                status: parts.status,
                headers: parts.headers,
                body: body.to_bytes(),
            })
        };
        let late = |_| ProviderError::Unavailable("no answer in time".to_owned());
        tokio::time::timeout(PROVIDER_TIMEOUT, exchange)
            .await
            .map_err(late)?
    }
}

pub(crate) fn tls(more_roots: Option<&[u8]>) -> Result<rustls::ClientConfig, ClientError> {
    let mut roots = RootCertStore::empty();
    for found in CertificateDer::pem_slice_iter(more_roots.unwrap_or_default()) {
        let unreadable = |error: &dyn Display| ClientError::Authorities(error.to_string());
        let found = found.map_err(|error| unreadable(&error))?;
        roots.add(found).map_err(|error| unreadable(&error))?;
    }
    // Authorities of the system that rustls cannot read are left out.
    for found in rustls_native_certs::load_native_certs().certs {
        let _added = roots.add(found);
    }
    let crypto = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .map_err(ClientError::Tls)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// An answer with a status and all of its body.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: bytes::Bytes,
}

impl Answered {
    /// How long the provider wants to be left alone.
    pub(super) fn retry_after(&self) -> Duration {
        let value = self.headers.get("retry-after");
        let seconds = value.and_then(|value| value.to_str().ok()?.trim().parse().ok());
        seconds
            .map_or(RATE_LIMIT_WAIT, Duration::from_secs)
            .min(RATE_LIMIT_WAIT_MAX)
    }
}

/// What a request without an answer means. A connection that never came about, by name, network or
/// certificate, carried nothing; everything else may have arrived.
fn failed(error: &hyper_util::client::legacy::Error) -> ProviderError {
    if error.is_connect() {
        ProviderError::NotSent(told(error))
    } else {
        ProviderError::Unavailable(told(error))
    }
}

/// The error with its causes.
pub(crate) fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// Counts a call by its outcome.
pub(super) fn counted<T>(
    provider: &str,
    call: &'static str,
    outcome: Result<T, ProviderError>,
) -> Result<T, ProviderError> {
    let word = match &outcome {
        Ok(_) => "ok",
        Err(ProviderError::NotSent(_)) => "not-sent",
        Err(ProviderError::Unavailable(_)) => "unavailable",
        Err(ProviderError::NotConfigured(_)) => "not-configured",
        Err(ProviderError::RateLimited { .. }) => "rate-limited",
        Err(ProviderError::Busy) => "busy",
        Err(ProviderError::Refused { .. }) => "refused",
        Err(ProviderError::Unreadable(_)) => "unreadable",
    };
    metrics::counter!(
        telemetry::PROVIDER_CALLS,
        "provider" => provider.to_owned(), "call" => call, "outcome" => word
    )
    .increment(1);
    outcome
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_never_left_is_told_from_what_may_have_arrived() {
        let client = HttpClient::new(None).unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        drop(closed);
        let sent = |url: String| client.send(client.post(url).body("x"));
        let refused = sent(url).await;
        assert!(
            matches!(refused, Err(ProviderError::NotSent(_))),
            "{refused:?}"
        );
        let nowhere = sent("http://nowhere.invalid/".to_owned()).await;
        assert!(
            matches!(nowhere, Err(ProviderError::NotSent(_))),
            "{nowhere:?}"
        );

        // Takes the connection and hangs up: the request may have been read.
        let hangs_up = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = hangs_up.local_addr().unwrap();
        let answering = std::thread::spawn(move || drop(hangs_up.accept().unwrap()));
        let lost = sent(format!("http://{address}/")).await;
        assert!(
            matches!(lost, Err(ProviderError::Unavailable(_))),
            "{lost:?}"
        );
        answering.join().unwrap();

        // Speaks no TLS: the handshake fails before the request is written.
        let plain = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = plain.local_addr().unwrap();
        let answering = std::thread::spawn(move || {
            use std::io::Write as _;
            let (mut stream, _) = plain.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
        });
        let unsafe_ = sent(format!("https://{address}/")).await;
        assert!(
            matches!(unsafe_, Err(ProviderError::NotSent(_))),
            "{unsafe_:?}"
        );
        answering.join().unwrap();
    }

    #[test]
    fn damaged_authorities_are_refused() {
        let damaged = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(
            HttpClient::new(Some(damaged)),
            Err(ClientError::Authorities(_))
        ));
    }
}
