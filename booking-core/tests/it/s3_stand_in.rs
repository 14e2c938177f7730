//! A bucket that is spoken to as S3 is, which checks every signature (AWS Signature Version 4).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use booking_core::{S3Config, TicketStoreConfig};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Method, StatusCode, Uri};
use sha2::{Digest, Sha256};

const KEY_ID: &str = "AKIATEST";
const SECRET: &str = "a secret key / of the bucket";
const REGION: &str = "eu-central-1";

/// What it does with requests whose signature is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Well,
    /// It answers 503 and does nothing.
    Down,
    /// It does what it is asked and answers 500.
    Forgetful,
}

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Vec<u8>>,
    types: BTreeMap<String, String>,
    refused: usize,
    reads: usize,
}

#[derive(Clone)]
pub(crate) struct S3StandIn {
    url: String,
    bucket: Arc<Mutex<Bucket>>,
    mood: Arc<Mutex<Mood>>,
}

impl S3StandIn {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stand_in = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            bucket: Arc::default(),
            mood: Arc::new(Mutex::new(Mood::Well)),
        };
        let router = Router::new().fallback(answer).with_state(stand_in.clone());
        #[expect(clippy::disallowed_methods, reason = "ends with the test's runtime")]
        tokio::spawn(async move { axum::serve(listener, router).await });
        stand_in
    }

    /// The settings for this bucket, with this secret.
    fn settings(&self, secret: &str) -> TicketStoreConfig {
        TicketStoreConfig::S3(Box::new(S3Config {
            bucket: "tickets".to_owned(),
            prefix: "shop/one".to_owned(),
            endpoint: Some(self.url.clone()),
            region: Some(REGION.to_owned()),
            access_key: Some((KEY_ID.to_owned(), secret.to_owned())),
            more_roots: None,
        }))
    }

    pub(crate) fn config(&self) -> TicketStoreConfig {
        self.settings(SECRET)
    }

    pub(crate) fn config_with_a_wrong_secret(&self) -> TicketStoreConfig {
        self.settings("guessed")
    }

    pub(crate) fn mood(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.bucket.lock().unwrap().objects.clone()
    }

    pub(crate) fn types(&self) -> Vec<String> {
        self.bucket
            .lock()
            .unwrap()
            .types
            .values()
            .cloned()
            .collect()
    }

    pub(crate) fn refused(&self) -> usize {
        self.bucket.lock().unwrap().refused
    }

    pub(crate) fn reads(&self) -> usize {
        self.bucket.lock().unwrap().reads
    }
}

async fn answer(
    State(stand_in): State<S3StandIn>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut bucket = stand_in.bucket.lock().unwrap();
    if let Err(why) = verified(&method, &uri, &headers, &body) {
        bucket.refused += 1;
        return refusal(StatusCode::FORBIDDEN, "SignatureDoesNotMatch", &why);
    }
    let mood = *stand_in.mood.lock().unwrap();
    if mood == Mood::Down {
        return refusal(StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "");
    }
    let name = uri.path().trim_start_matches("/tickets/").to_owned();
    let done = match method {
        Method::PUT => {
            let kind = headers["content-type"].to_str().unwrap().to_owned();
            bucket.types.insert(name.clone(), kind);
            bucket.objects.insert(name, body.to_vec());
            ([("etag", "\"1\"")], "").into_response()
        }
        Method::GET => {
            bucket.reads += 1;
            match bucket.objects.get(&name) {
                Some(object) => ([("etag", "\"1\"")], object.clone()).into_response(),
                None => refusal(StatusCode::NOT_FOUND, "NoSuchKey", &name),
            }
        }
        Method::DELETE => {
            bucket.objects.remove(&name);
            bucket.types.remove(&name);
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refusal(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", ""),
    };
    match mood {
        Mood::Forgetful => refusal(StatusCode::INTERNAL_SERVER_ERROR, "Oops", ""),
        Mood::Well | Mood::Down => done,
    }
}

fn refusal(status: StatusCode, code: &str, why: &str) -> Response {
    let body = format!("<Error><Code>{code}</Code><Message>{why}</Message></Error>");
    (status, body).into_response()
}

/// Whether the request is signed as the documentation of S3 says.
fn verified(method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Result<(), String> {
    let text = |name: &str| {
        let value = headers.get(name).ok_or(format!("no {name}"))?;
        value.to_str().map_err(|error| error.to_string())
    };
    let authorization = text("authorization")?;
    let fields = authorization
        .strip_prefix("AWS4-HMAC-SHA256 ")
        .ok_or("another scheme")?;
    let field = |name: &str| {
        let mut found = fields.split(',').filter_map(|field| {
            let (key, value) = field.trim().split_once('=')?;
            (key == name).then_some(value)
        });
        found.next().ok_or(format!("no {name}"))
    };
    let payload = text("x-amz-content-sha256")?;
    if payload != HEXLOWER.encode(&Sha256::digest(body)) {
        return Err("the payload is another".to_owned());
    }
    let (signed, date) = (field("SignedHeaders")?, text("x-amz-date")?);
    let mut canonical = format!(
        "{method}\n{}\n{}\n",
        uri.path(),
        uri.query().unwrap_or_default()
    );
    for name in signed.split(';') {
        writeln!(canonical, "{name}:{}", text(name)?.trim()).unwrap();
    }
    write!(canonical, "\n{signed}\n{payload}").unwrap();
    let scope = format!("{}/{REGION}/s3/aws4_request", &date[..8]);
    if field("Credential")? != format!("{KEY_ID}/{scope}") {
        return Err("another key".to_owned());
    }
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{date}\n{scope}\n{}",
        HEXLOWER.encode(&Sha256::digest(canonical))
    );
    let mut key = format!("AWS4{SECRET}").into_bytes();
    for part in scope.split('/') {
        key = mac(&key, part);
    }
    if field("Signature")? == HEXLOWER.encode(&mac(&key, &to_sign)) {
        return Ok(());
    }
    Err("the signature is another".to_owned())
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}
