//! The operators' API over HTTP.

use std::time::Duration;

use reqwest::{Method, RequestBuilder, Response, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::config::Gateway;
use crate::failure::{Exit, Failure};
use crate::transport::{SendError, Transport};

/// How long a listener that may be another one may take to say what it is.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);
/// The largest answer that is kept in memory.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The longest line of a streamed log.
const LINE_BYTES_MAX: usize = 64 << 10;

/// Where the public listener, and no other, has the keys of its passes.
const PASS_KEYS: &str = "_line/v1/jwks.json";

/// A client of one gateway.
pub struct AdminClient {
    http: Transport,
    gateway: Gateway,
}

impl AdminClient {
    /// A client of `gateway`.
    pub fn new(gateway: Gateway) -> Result<Self, Failure> {
        let public_url = gateway.public_url().ok();
        let urls: Vec<&Url> = std::iter::once(&gateway.admin_url)
            .chain(&public_url)
            .collect();
        let http = Transport::new(&urls, gateway.believed())?;
        Ok(Self { http, gateway })
    }

    /// The URL of the operators' listener.
    pub fn admin_url(&self) -> &Url {
        &self.gateway.admin_url
    }

    /// Reads `path` of the operators' API, such as `rooms/eras`, or what is beside it, such as
    /// `/checkin/v1/shows/eras/counts`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(self.request(Method::GET, path)?).await
    }

    /// Does `method` on `path` with `body`, and reads the answer.
    pub async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.ask(self.request(method, path)?.json(body)).await
    }

    /// Posts `body` to `path`, once for all requests with this key.
    pub async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        key: Option<&str>,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let mut request = self.request(Method::POST, path)?;
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        self.ask(request.json(body)).await
    }

    /// Replaces what `path` names, unless it is no longer at `version`.
    pub async fn replace<T: DeserializeOwned>(
        &self,
        path: &str,
        version: i64,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let request = self.request(Method::PUT, path)?;
        let request = request.header(header::IF_MATCH, format!("\"{version}\""));
        self.ask(request.json(body)).await
    }

    /// Does what needs no body.
    pub async fn post<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(self.request(Method::POST, path)?).await
    }

    /// Deletes what `path` names.
    pub async fn delete(&self, path: &str) -> Result<(), Failure> {
        let request = self.request(Method::DELETE, path)?;
        self.send(request).await.map(drop)
    }

    /// Opens a log that is streamed as one JSON document a line.
    pub async fn lines(&self, path: &str) -> Result<Lines, Failure> {
        let request = self.request(Method::GET, path)?;
        Ok(Lines {
            response: self.send(request).await?,
            buffer: Vec::new(),
            start: 0,
            ended: false,
        })
    }

    /// Reads `path` of the public listener, without the token.
    pub async fn get_public<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let public_url = self.gateway.public_url()?;
        let url = join(&public_url, path)?;
        let answer = self.http.send(self.http.request(Method::GET, url)).await;
        let answer = answer.map_err(|error| {
            unreachable(&error, &public_url)
                .hint("name the public listener with --public-url or ROPELINE_PUBLIC_URL")
        })?;
        read(accept(answer).await?).await
    }

    fn request(&self, method: Method, path: &str) -> Result<RequestBuilder, Failure> {
        let path = match path.strip_prefix('/') {
            Some(beside) => beside.to_owned(),
            None => format!("admin/v1/{path}"),
        };
        let url = join(&self.gateway.admin_url, &path)?;
        let request = self.http.request(method, url);
        Ok(match &self.gateway.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        })
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        let answer = self.http.send(request).await.map_err(|error| {
            if error.is_builder() {
                return Failure::usage("The token cannot be sent")
                    .detail("it has characters that do not belong in one");
            }
            unreachable(&error, &self.gateway.admin_url).hint(format!(
                "the URL is from {}; set --admin-url or ROPELINE_ADMIN_URL, or run this where \
                 the gateway runs",
                self.gateway.found_in
            ))
        })?;
        match accept(answer).await {
            Ok(answer) => Ok(answer),
            Err(failure) => Err(self.explained(failure).await),
        }
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        match read(self.send(request).await?).await {
            Ok(document) => Ok(document),
            Err(failure) => Err(self.explained(failure).await),
        }
    }

    /// `failure`, or that the public listener was asked: it knows no operators' API, and its shop
    /// may answer with anything. Operators' listeners have no keys of passes.
    async fn explained(&self, failure: Failure) -> Failure {
        if failure.exit == Exit::Unreachable {
            return failure;
        }
        let url = &self.gateway.admin_url;
        let Ok(keys) = join(url, PASS_KEYS) else {
            return failure;
        };
        let asked = self.http.request(Method::GET, keys).timeout(LOOK_TIMEOUT);
        let answer = self.http.send(asked).await;
        let is_public = match answer {
            Ok(answer) if answer.status().is_success() => {
                let document: Result<Value, Failure> = read(answer).await;
                document.is_ok_and(|document| document["keys"].is_array())
            }
            _ => false,
        };
        if !is_public {
            return failure;
        }
        let listener = match &self.gateway.meant {
            Some(meant) => format!("the operators' listener is {meant}"),
            None => "the operators' listener is another address, port 8081 unless \
                     ROPELINE_OPS_LISTEN says otherwise"
                .to_owned(),
        };
        Failure::usage(format!("{url} is the public listener of a gateway"))
            .detail(listener)
            .hint(format!(
                "the URL is from {}; set --admin-url or ROPELINE_ADMIN_URL",
                self.gateway.found_in
            ))
    }
}

fn join(base: &Url, path: &str) -> Result<Url, Failure> {
    let text = format!("{}/{path}", base.as_str().trim_end_matches('/'));
    Url::parse(&text).map_err(|error| Failure::usage(format!("`{text}` is not a URL: {error}")))
}

/// The failure of a request that got no answer.
fn unreachable(error: &SendError, url: &Url) -> Failure {
    let failure = Failure::new(
        Exit::Unreachable,
        format!("Cannot reach the gateway at {url}"),
    )
    .detail(error.why());
    if error.is_of_certificate() {
        failure.hint("name the authority of its certificate with --ca-file or ROPELINE_CA_FILE")
    } else {
        failure
    }
}

/// The answer, if it is a good one; what it stands for otherwise.
async fn accept(answer: Response) -> Result<Response, Failure> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let body = body(answer).await?;
    Err(Failure::from_answer(status.as_u16(), &body))
}

async fn body(mut answer: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = Transport::chunk(&mut answer).await.map_err(broken_off)? {
        if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(Failure::failed("The gateway's answer is too large")
                .detail(format!("more than {ANSWER_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn broken_off(why: String) -> Failure {
    Failure::new(Exit::Unreachable, "The gateway's answer broke off")
        .detail(why)
        .hint("try again")
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Failure> {
    parse(&body(answer).await?)
}

/// Reads a document of the gateway, naming the field that does not fit.
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        Failure::failed("The gateway's answer cannot be read")
            .detail(error.to_string())
            .hint("is the gateway of the same version as this command?")
    })
}

/// A log as it arrives.
pub struct Lines {
    response: Response,
    buffer: Vec<u8>,
    /// Where in `buffer` the next line starts.
    start: usize,
    ended: bool,
}

impl Lines {
    /// The next document, or `None` at the end.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        loop {
            let rest = &self.buffer[self.start..];
            let line = match rest.iter().position(|byte| *byte == b'\n') {
                Some(end) => &rest[..=end],
                None if self.ended => rest,
                None => {
                    self.fill().await?;
                    continue;
                }
            };
            let at_end = self.ended && line.len() == rest.len();
            self.start += line.len();
            let line = line.trim_ascii();
            if !line.is_empty() {
                return parse(line).map(Some);
            }
            if at_end {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self) -> Result<(), Failure> {
        self.buffer.drain(..self.start);
        self.start = 0;
        if self.buffer.len() > LINE_BYTES_MAX {
            return Err(Failure::failed("A line of the log is too long")
                .detail(format!("more than {LINE_BYTES_MAX} bytes")));
        }
        let chunk = Transport::chunk(&mut self.response).await;
        match chunk.map_err(broken_off)? {
            Some(chunk) => self.buffer.extend_from_slice(&chunk),
            None => self.ended = true,
        }
        Ok(())
    }
}
