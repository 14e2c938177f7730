//! How an authority is reached.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;

use crate::edge::tls;
use crate::proxy::trust;

/// Longest time for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Bytes of an answer. A chain of certificates has a few thousand.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

type Sent = Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>>;

/// A client of an authority. Clones share what it was asked to wait for.
#[derive(Clone)]
pub(super) struct Authority {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    waits_until: Arc<Mutex<Option<SystemTime>>>,
}

impl Authority {
    /// Believes the authorities of the system, and those whose certificates are in `pem`.
    pub(super) fn trusting(pem: &[u8]) -> Result<Self, rustls::Error> {
        let config = ClientConfig::builder_with_provider(tls::crypto())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(trust::roots(pem))
            .with_no_client_auth();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .build();
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).build(connector),
            waits_until: Arc::default(),
        })
    }

    /// Until when the last refusal asked to wait. Asking forgets it.
    pub(super) fn asked_to_wait(&self) -> Option<SystemTime> {
        let until = self.waits_until.lock();
        until.unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl HttpClient for Authority {
    fn request(&self, request: Request<BodyWrapper<Bytes>>) -> Sent {
        let sending = self.client.request(request);
        let waits_until = self.waits_until.clone();
        Box::pin(async move {
            let answering = async {
                let answer = sending.await.map_err(other)?;
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
                let body = body.map_err(Error::Other)?.to_bytes();
                Ok::<_, Error>(Response::from_parts(head, Full::new(body)))
            };
            let answer = tokio::time::timeout(ANSWER_MAX, answering).await;
            let answer = answer.map_err(other)??;
            if answer.status().is_client_error() || answer.status().is_server_error() {
                #[expect(clippy::disallowed_methods, reason = "the authority's own time")]
                let until = retry_after(answer.headers(), SystemTime::now());
                *waits_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
            }
            Ok(BytesResponse::from(answer))
        })
    }
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Other(Box::new(error))
}

/// Until when an answer asks to wait: seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => now.checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(1);
        let asked = |value: &'static str| {
            let headers = [(RETRY_AFTER, HeaderValue::from_static(value))];
            retry_after(&headers.into_iter().collect(), now)
        };
        let in_two_hours = Some(now + Duration::from_hours(2));
        assert_eq!(asked("7200"), in_two_hours);
        assert_eq!(asked("Thu, 01 Jan 1970 03:00:00 GMT"), in_two_hours);
        assert_eq!(asked("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
