//! Compressed responses: a [`Document`] is compressed once per encoding and then sent many times.
//!
//! A document must be the same for everyone. The length of a compressed response shows how much of
//! it repeats, so a secret beside text that an attacker chooses could be guessed letter by letter
//! (BREACH). Responses that belong to one customer, and streams, are therefore not compressed.

use std::io::Write as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use moka::sync::Cache;
use sha2::{Digest, Sha256};

/// Smallest body that is compressed; a smaller one fits into one packet anyway.
const BYTES_MIN: usize = 1024;
/// Window of the brotli encoder, as a power of two: the largest that every decoder supports.
const BROTLI_WINDOW: u32 = 22;
/// Buffer of the brotli encoder.
const BROTLI_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of the content digest in an entity tag. It only has to differ between versions of one
/// document.
const TAG_BYTES: usize = 8;
/// How long [`RecentDocuments`] keeps a document after its last request.
const RECENT_MAX: Duration = Duration::from_secs(10);

/// The encoding of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Not compressed.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Encoding {
    /// The name in `Content-Encoding`; `None` for uncompressed bytes.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// How much time compression may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For bodies that are sent many thousand times without a change.
    Best,
    /// For bodies that change all the time: a few milliseconds for 100 KB.
    Quick,
}

/// A body with its compressed forms, each made when it is first requested.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
    media_type: &'static str,
    /// What clients and caches compare versions by; `None` for what they may not keep.
    tag: Option<String>,
    effort: Effort,
    /// Sent with every response, besides those that describe the body.
    headers: HeaderMap,
    plain: OnceLock<Form>,
    gzip: OnceLock<Form>,
    brotli: OnceLock<Form>,
}

/// One form of a document, ready to be sent.
#[derive(Debug)]
struct Form {
    body: Bytes,
    etag: Option<String>,
    /// Every header of a response with this body.
    headers: HeaderMap,
}

impl Document {
    /// A document. `tag` identifies its content; it may have letters, digits and hyphens.
    pub fn new(
        bytes: impl Into<Bytes>,
        media_type: &'static str,
        tag: impl Into<String>,
        effort: Effort,
    ) -> Self {
        let mut document = Self::untagged(bytes, media_type, effort);
        document.tag = Some(tag.into());
        document
    }

    /// A document without an entity tag, for what clients and caches may not keep.
    pub fn untagged(bytes: impl Into<Bytes>, media_type: &'static str, effort: Effort) -> Self {
        Self {
            bytes: bytes.into(),
            media_type,
            tag: None,
            effort,
            headers: HeaderMap::new(),
            plain: OnceLock::new(),
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// A document whose tag is a digest of its content.
    pub fn of(bytes: impl Into<Bytes>, media_type: &'static str, effort: Effort) -> Self {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes).into();
        Self::with_digest(bytes, media_type, effort, &digest)
    }

    fn with_digest(
        bytes: Bytes,
        media_type: &'static str,
        effort: Effort,
        digest: &[u8; 32],
    ) -> Self {
        let tag = HEXLOWER.encode(&digest[..TAG_BYTES]);
        Self::new(bytes, media_type, tag, effort)
    }

    /// The document with `headers` in every [`Document::answer`], besides those that describe the
    /// body.
    #[must_use]
    pub fn with_headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        // A form has the headers too.
        (self.plain, self.gzip, self.brotli) = Default::default();
        self
    }

    /// The response to a request with `headers`: in the best encoding that the client accepts, or
    /// 304. Each encoding has its own entity tag, because its bytes differ.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        let form = self.form(accepted(headers));
        let is_known = |etag: &String| crate::etag::is_known(headers, etag);
        if form.etag.as_ref().is_some_and(is_known) {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            *response.headers_mut() = form.headers.clone();
            // They describe a body, and there is none.
            response.headers_mut().remove(CONTENT_TYPE);
            response.headers_mut().remove(CONTENT_ENCODING);
            return response;
        }
        let mut response = Response::new(axum::body::Body::from(form.body.clone()));
        *response.headers_mut() = form.headers.clone();
        response
    }

    /// Sets this as the body of `response`, which has a status and headers of its own.
    pub fn fill(&self, response: &mut Response, encoding: Encoding) {
        let encoding = self.worthwhile(encoding);
        *response.body_mut() = axum::body::Body::from(self.form(encoding).body.clone());
        let headers = response.headers_mut();
        headers.remove(CONTENT_LENGTH);
        describe(headers, self.media_type, encoding);
    }

    /// `encoding`, unless the document is too small for it.
    const fn worthwhile(&self, encoding: Encoding) -> Encoding {
        if self.bytes.len() < BYTES_MIN {
            Encoding::Identity
        } else {
            encoding
        }
    }

    /// Whether [`Document::answer`] can respond to `headers` without compressing first.
    pub fn is_ready(&self, headers: &HeaderMap) -> bool {
        match self.worthwhile(accepted(headers)) {
            Encoding::Identity => true,
            Encoding::Gzip => self.gzip.get().is_some(),
            Encoding::Brotli => self.brotli.get().is_some(),
        }
    }

    /// The form in an encoding that is worthwhile, made when it is first requested.
    fn form(&self, encoding: Encoding) -> &Form {
        let encoding = self.worthwhile(encoding);
        let (form, pack): (_, fn(&Bytes, Effort) -> Bytes) = match encoding {
            Encoding::Identity => (&self.plain, |bytes, _| bytes.clone()),
            Encoding::Gzip => (&self.gzip, |bytes, effort| gzip(bytes, effort)),
            Encoding::Brotli => (&self.brotli, |bytes, effort| brotli(bytes, effort)),
        };
        form.get_or_init(|| self.form_of(pack(&self.bytes, self.effort), encoding))
    }

    fn form_of(&self, body: Bytes, encoding: Encoding) -> Form {
        let mut headers = HeaderMap::new();
        describe(&mut headers, self.media_type, encoding);
        let suffix = encoding.word().map(|word| format!("-{word}"));
        let suffix = suffix.unwrap_or_default();
        let etag = self.tag.as_ref().map(|tag| format!("\"{tag}{suffix}\""));
        if let Some(etag) = &etag
            && let Ok(etag) = HeaderValue::from_str(etag)
        {
            headers.insert(ETAG, etag);
        }
        for (name, value) in &self.headers {
            // Appended, because `Vary` already names what decides the encoding.
            headers.append(name, value.clone());
        }
        Form {
            body,
            etag,
            headers,
        }
    }
}

/// Sets the headers that describe a body of `media_type` in `encoding`.
fn describe(headers: &mut HeaderMap, media_type: &'static str, encoding: Encoding) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(word) = encoding.word() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(word));
    }
}

/// Documents that were sent lately, by their content. One that many clients request is compressed
/// once, although it is rendered for each. Clones share them.
#[derive(Clone, Debug)]
pub struct RecentDocuments(Cache<[u8; 32], Arc<Document>>);

impl RecentDocuments {
    /// At most `bytes_max` bytes of documents, counted before compression.
    pub fn new(bytes_max: u64) -> Self {
        let weight = |_: &[u8; 32], document: &Arc<Document>| {
            u32::try_from(document.bytes.len()).unwrap_or(u32::MAX)
        };
        Self(
            Cache::builder()
                .max_capacity(bytes_max)
                .weigher(weight)
                .time_to_idle(RECENT_MAX)
                .build(),
        )
    }

    /// The document with this content.
    pub fn of(&self, bytes: impl Into<Bytes>, media_type: &'static str) -> Arc<Document> {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes).into();
        self.0.get_with(digest, || {
            let document = Document::with_digest(bytes, media_type, Effort::Quick, &digest);
            Arc::new(document)
        })
    }
}

fn gzip(bytes: &[u8], effort: Effort) -> Bytes {
    let level = match effort {
        Effort::Best => flate2::Compression::best(),
        Effort::Quick => flate2::Compression::new(4),
    };
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
    encoder
        .write_all(bytes)
        .and_then(|()| encoder.finish())
        .expect("writing into memory does not fail")
        .into()
}

fn brotli(bytes: &[u8], effort: Effort) -> Bytes {
    let quality = match effort {
        Effort::Best => 11,
        Effort::Quick => 4,
    };
    let mut out = Vec::new();
    {
        let mut encoder =
            brotli::CompressorWriter::new(&mut out, BROTLI_BUFFER_BYTES, quality, BROTLI_WINDOW);
        encoder
            .write_all(bytes)
            .expect("writing into memory does not fail");
    }
    out.into()
}

/// The smallest encoding that a request accepts, by RFC 9110, 12.5.3: weights count, `*` stands for
/// the encodings that are not listed, and without `Accept-Encoding` the bytes are not compressed.
pub fn accepted(headers: &HeaderMap) -> Encoding {
    let weight = |wanted: &str| {
        let mut any = None;
        for item in items(headers) {
            let mut parts = item.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default();
            let weight = parts
                .find_map(|part| part.strip_prefix("q=")?.parse::<f32>().ok())
                .unwrap_or(1.0);
            if name.eq_ignore_ascii_case(wanted) {
                return weight;
            }
            if name == "*" {
                any = Some(weight);
            }
        }
        any.unwrap_or(0.0)
    };
    let (brotli, gzip) = (weight("br"), weight("gzip"));
    if brotli > 0.0 && brotli >= gzip {
        Encoding::Brotli
    } else if gzip > 0.0 {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

fn items(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::header::IF_NONE_MATCH;
    use http_body_util::BodyExt as _;

    use super::*;

    fn headers(accept: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, accept.parse().unwrap());
        headers
    }

    #[test]
    fn the_smallest_coding_that_is_accepted_is_chosen() {
        for (accept, expected) in [
            ("gzip, deflate, br, zstd", Encoding::Brotli),
            ("gzip", Encoding::Gzip),
            ("GZIP;q=1.0, br;q=0.5", Encoding::Gzip),
            ("br;q=0, gzip;q=0.1", Encoding::Gzip),
            ("*", Encoding::Brotli),
            ("*;q=0", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("", Encoding::Identity),
        ] {
            assert_eq!(accepted(&headers(accept)), expected, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Encoding::Identity);
    }

    #[tokio::test]
    async fn every_coding_gives_the_same_bytes_under_its_own_tag() {
        let text = "row A, seat 12, free; ".repeat(400);
        let document = Document::new(text.clone(), "text/plain", "v1", Effort::Quick);
        for (accept, tag) in [("br", "\"v1-br\""), ("gzip", "\"v1-gzip\""), ("", "\"v1\"")] {
            let response = document.answer(&headers(accept));
            assert_eq!(response.headers()[ETAG], tag);
            assert_eq!(response.headers()[VARY], "accept-encoding");
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let mut back = String::new();
            match accept {
                "br" => {
                    assert!(body.len() < 200);
                    let mut decoder = ::brotli::Decompressor::new(&body[..], 4096);
                    decoder.read_to_string(&mut back).unwrap();
                }
                "gzip" => {
                    assert!(body.len() < 300);
                    let mut decoder = flate2::read::GzDecoder::new(&body[..]);
                    decoder.read_to_string(&mut back).unwrap();
                }
                _ => back = String::from_utf8(body.to_vec()).unwrap(),
            }
            assert_eq!(back, text);
            let mut again = headers(accept);
            again.insert(IF_NONE_MATCH, tag.parse().unwrap());
            assert_eq!(document.answer(&again).status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[tokio::test]
    async fn headers_of_a_document_are_in_every_answer() {
        let mut extra = HeaderMap::new();
        extra.insert(VARY, HeaderValue::from_static("cookie"));
        let text = "row A, seat 12, free; ".repeat(400);
        let document = Document::new(text.clone(), "text/plain", "v1", Effort::Quick);
        let document = document.with_headers(extra.clone());
        let untagged = Document::untagged(text, "text/plain", Effort::Quick).with_headers(extra);
        for known in ["\"v1-gzip\"", "\"other\"", "*"] {
            let mut asked = headers("gzip");
            asked.insert(IF_NONE_MATCH, known.parse().unwrap());
            let response = document.answer(&asked);
            let vary: Vec<_> = response.headers().get_all(VARY).iter().collect();
            assert_eq!(vary, ["accept-encoding", "cookie"], "{known}");
            let is_known = known != "\"other\"";
            assert_eq!(response.status() == StatusCode::NOT_MODIFIED, is_known);
            assert_eq!(response.headers().contains_key(CONTENT_TYPE), !is_known);
            assert_eq!(response.headers().contains_key(CONTENT_ENCODING), !is_known);
            // What may not be kept is known to nobody.
            let response = untagged.answer(&asked);
            assert_eq!(response.status(), StatusCode::OK);
            assert!(!response.headers().contains_key(ETAG));
        }
    }

    #[test]
    fn a_document_that_is_made_again_is_not_compressed_again() {
        let recent = RecentDocuments::new(1024 * 1024);
        let text = |n: usize| format!("{n}").repeat(4 * BYTES_MIN);
        let first = recent.of(text(1), "text/plain");
        assert!(!first.is_ready(&headers("br")));
        first.answer(&headers("br"));
        assert!(recent.of(text(1), "text/plain").is_ready(&headers("br")));
        assert!(!recent.of(text(2), "text/plain").is_ready(&headers("br")));
    }

    #[test]
    fn what_saves_no_packet_is_sent_as_it_is() {
        let document = Document::new("short", "text/plain", "v1", Effort::Best);
        let response = document.answer(&headers("br"));
        assert!(response.headers().get(CONTENT_ENCODING).is_none());
    }
}
