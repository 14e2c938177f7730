//! The HTTP client of S3: rustls with ring, as all other clients of the program.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpService,
};

use crate::payments::http_client::{ClientError, tls};

/// Longest wait for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest request with its answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection is kept for the next request.
const POOL_IDLE: Duration = Duration::from_secs(30);
/// Longest answer: the PDF of the largest booking has a quarter of a megabyte.
const ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Sends the requests to S3.
#[derive(Clone, Debug)]
pub(super) struct Requests(Client<HttpsConnector<TcpConnector>, HttpRequestBody>);

impl Requests {
    /// A client that believes the authorities of the system, and those in `more_roots` (PEM).
    pub(super) fn new(more_roots: Option<&[u8]>) -> Result<Self, ClientError> {
        let mut connector = TcpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        connector.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(more_roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self(
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(POOL_IDLE)
                .build(connector),
        ))
    }
}

impl HttpConnector for Requests {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

/// No answer came in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
struct Late;

#[async_trait]
impl HttpService for Requests {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let exchange = async {
            let response = self.0.request(request).await.map_err(|error| {
                let kind = if error.is_connect() {
                    HttpErrorKind::Connect
                } else {
                    HttpErrorKind::Request
                };
                HttpError::new(kind, error)
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
            let body = body
                .map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?
                .to_bytes();
            Ok(HttpResponse::from_parts(parts, body.into()))
        };
        match tokio::time::timeout(REQUEST_TIMEOUT, exchange).await {
            Ok(outcome) => outcome,
            Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, Late)),
        }
    }
}
