//! One call of a receiver.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use contract::Timestamp;
use http::Request;
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::response::Parts;
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tower::Service;

use super::outcome::{ASKED_PAUSE_MAX, Called};
use super::target::{self, NOT_PUBLIC};
use crate::payments::http_client::{ClientError, tls, told};
use crate::webhook_secrets::Secrets;

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest call, with the connection and the answer.
pub(crate) const CALL_MAX: Duration = Duration::from_secs(15);
/// How long a connection is kept for the next call.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Longest answer that is read, so that the connection can be kept. What it says is not used.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// How we name ourselves.
const AGENT: &str = concat!("ropeline/", env!("CARGO_PKG_VERSION"));

/// Finds the addresses of a name, and leaves out those that may not be called. It is asked for each
/// connection, so a name that changes its address after it was checked gains nothing.
#[derive(Clone, Copy, Debug)]
struct Resolver {
    private_allowed: bool,
}

impl Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Self::Response>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let private_allowed = self.private_allowed;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed = |at: &SocketAddr| private_allowed || target::is_public(at.ip());
            let addresses: Vec<SocketAddr> = found.filter(allowed).collect();
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, NOT_PUBLIC));
            }
            Ok(addresses.into_iter())
        })
    }
}

type Connector = HttpsConnector<HttpConnector<Resolver>>;

/// Calls receivers. Redirects are not followed.
#[derive(Clone, Debug)]
pub(crate) struct WebhookClient {
    sender: Client<Connector, Full<Bytes>>,
    private_allowed: bool,
}

/// What is sent.
#[derive(Clone, Debug)]
pub(crate) struct Message<'a> {
    pub(crate) url: &'a str,
    pub(crate) id: &'a str,
    pub(crate) body: Bytes,
    pub(crate) secrets: &'a Secrets,
}

impl WebhookClient {
    /// A client that believes the authorities of the system, and those in `more_roots` (PEM).
    pub(crate) fn new(
        private_allowed: bool,
        more_roots: Option<&[u8]>,
    ) -> Result<Self, ClientError> {
        let mut connector = HttpConnector::new_with_resolver(Resolver { private_allowed });
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(more_roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self {
            sender: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .build(connector),
            private_allowed,
        })
    }

    /// Whether addresses may be called that are not public.
    pub(crate) fn private_allowed(&self) -> bool {
        self.private_allowed
    }

    /// Calls a receiver.
    pub(crate) async fn call(&self, message: Message<'_>, now: Timestamp) -> Called {
        // Judged again: what was stored may be of a time when more was allowed, and the connector
        // does not resolve an address that stands in the URL.
        let url = match target::read(message.url, self.private_allowed) {
            Ok(url) => url,
            Err(why) => return Called::failed(why.to_owned()),
        };
        let signatures = message.secrets.signatures(message.id, &message.body, now);
        let request = Request::post(url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, AGENT)
            .header("webhook-id", message.id)
            .header("webhook-timestamp", now.as_unix_seconds())
            .header("webhook-signature", signatures)
            .body(Full::new(message.body));
        let request = match request {
            Ok(request) => request,
            Err(error) => return Called::failed(error.to_string()),
        };
        let exchange = async {
            let (parts, body) = match self.sender.request(request).await {
                Ok(response) => response.into_parts(),
                Err(error) => return Called::failed(told(&error)),
            };
            // The status is the answer, however the body ends.
            let _unused = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            answered(&parts, now)
        };
        let late = |_| Called::failed("no answer in time".to_owned());
        tokio::time::timeout(CALL_MAX, exchange)
            .await
            .unwrap_or_else(late)
    }
}

fn answered(parts: &Parts, now: Timestamp) -> Called {
    let retry_after = parts.headers.get(RETRY_AFTER);
    let retry_after = retry_after.and_then(|value| value.to_str().ok());
    Called {
        status: Some(parts.status.as_u16()),
        error: None,
        retry_after: retry_after.and_then(|text| pause_asked_for(text, now)),
    }
}

/// The pause of a `Retry-After`: seconds, or a date.
fn pause_asked_for(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    let pause = if let Ok(seconds) = text.parse::<u64>() {
        Duration::from_secs(seconds)
    } else {
        let form = time::macros::format_description!(
            "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
        );
        let at = time::PrimitiveDateTime::parse(text, form).ok()?;
        Timestamp::from(at.assume_utc()).since(now)
    };
    Some(pause.min(ASKED_PAUSE_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let now = Timestamp::parse("2026-12-24T14:00:00Z").unwrap();
        let asked = |text| pause_asked_for(text, now);
        assert_eq!(asked("120"), Some(Duration::from_mins(2)));
        let date = "Thu, 24 Dec 2026 14:05:00 GMT";
        assert_eq!(asked(date), Some(Duration::from_mins(5)));
        assert_eq!(asked("Thu, 24 Dec 2026 13:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(asked("99999999"), Some(ASKED_PAUSE_MAX));
        assert_eq!(asked("soon"), None);
    }

    #[tokio::test]
    async fn a_name_that_leads_to_this_machine_is_not_called() {
        let secrets = Secrets::new([1; 32]);
        let now = Timestamp::from_ms(1_790_000_000_000);
        let call = async |client: &WebhookClient, url: &str| {
            let message = Message {
                url,
                id: "evt_1",
                body: Bytes::from_static(b"{}"),
                secrets: &secrets,
            };
            client.call(message, now).await
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let careful = WebhookClient::new(false, None).unwrap();
        // The name passes the check of the URL: only its address is not public.
        let url = format!("https://localhost:{port}/");
        assert!(target::read(&url, false).is_ok());
        let called = call(&careful, &url).await;
        assert!(called.failure().unwrap().contains(NOT_PUBLIC), "{called:?}");
        let called = call(&careful, &format!("https://127.0.0.1:{port}/")).await;
        assert!(called.failure().unwrap().contains(NOT_PUBLIC), "{called:?}");
        let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
        assert!(nobody.is_err());
    }
}
