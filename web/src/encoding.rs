//! Compressed answers: [`Document`] is compressed once for each coding and then sent as often as
//! it is asked for.
//!
//! Only what is the same for everyone belongs in one. The length of a compressed answer tells what
//! in it repeats: a secret beside text that somebody else can choose could be guessed letter by
//! letter (BREACH). Answers that belong to one customer, and streams, are therefore sent as they
//! are.

use std::io::Write as _;
use std::sync::OnceLock;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use axum::response::{IntoResponse, Response};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// Below this a compressed body saves no packet.
const BYTES_MIN: usize = 1024;
/// Window of the brotli encoder, as a power of two: the largest that every decoder takes.
const BROTLI_WINDOW: u32 = 22;
/// Buffer of the brotli encoder.
const BROTLI_BUFFER_BYTES: usize = 16 * 1024;

/// Bytes of a digest that name a content. It is told from other states of one document only.
const TAG_BYTES: usize = 8;

/// How a body is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 7932.
    Brotli,
}

impl Encoding {
    /// What `Content-Encoding` calls it; nothing for bytes as they are.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Brotli => Some("br"),
        }
    }
}

/// How much work goes into compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// For what is sent many thousand times without a change.
    Best,
    /// For what changes all the time: a few milliseconds for 100 KB.
    Quick,
}

/// A body with its compressed forms, each made when it is first asked for.
#[derive(Debug)]
pub struct Document {
    bytes: Bytes,
    media_type: &'static str,
    tag: String,
    effort: Effort,
    gzip: OnceLock<Bytes>,
    brotli: OnceLock<Bytes>,
}

impl Document {
    /// A document. `tag` names its content: letters, digits and hyphens.
    pub fn new(
        bytes: impl Into<Bytes>,
        media_type: &'static str,
        tag: impl Into<String>,
        effort: Effort,
    ) -> Self {
        Self {
            bytes: bytes.into(),
            media_type,
            tag: tag.into(),
            effort,
            gzip: OnceLock::new(),
            brotli: OnceLock::new(),
        }
    }

    /// A document that is named after its content.
    pub fn of(bytes: impl Into<Bytes>, media_type: &'static str, effort: Effort) -> Self {
        let bytes = bytes.into();
        let digest = Sha256::digest(&bytes);
        let tag = HEXLOWER.encode(&digest[..TAG_BYTES]);
        Self::new(bytes, media_type, tag, effort)
    }

    /// The answer to a request with `headers`: in the best coding that it takes, or 304. Each
    /// coding has an entity tag of its own, because its bytes differ.
    pub fn answer(&self, headers: &HeaderMap) -> Response {
        let encoding = if self.bytes.len() < BYTES_MIN {
            Encoding::Identity
        } else {
            accepted(headers)
        };
        let word = encoding.word();
        let suffix = word.map(|word| format!("-{word}")).unwrap_or_default();
        let etag = format!("\"{}{suffix}\"", self.tag);
        let mut response = if crate::etag::is_known(headers, &etag) {
            StatusCode::NOT_MODIFIED.into_response()
        } else {
            let mut response = Response::new(axum::body::Body::from(self.encoded(encoding)));
            let media_type = HeaderValue::from_static(self.media_type);
            response.headers_mut().insert(CONTENT_TYPE, media_type);
            if let Some(word) = word {
                let word = HeaderValue::from_static(word);
                response.headers_mut().insert(CONTENT_ENCODING, word);
            }
            response
        };
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if let Ok(etag) = HeaderValue::from_str(&etag) {
            headers.insert(ETAG, etag);
        }
        response
    }

    /// Whether [`Document::answer`] has nothing to compress for a request with `headers`.
    pub fn is_ready(&self, headers: &HeaderMap) -> bool {
        if self.bytes.len() < BYTES_MIN {
            return true;
        }
        match accepted(headers) {
            Encoding::Identity => true,
            Encoding::Gzip => self.gzip.get().is_some(),
            Encoding::Brotli => self.brotli.get().is_some(),
        }
    }

    /// The bytes in a coding. Bytes that cannot be compressed, which no encoder of ours reports
    /// for a buffer in memory, would be an empty answer; so the identity form stands in.
    fn encoded(&self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Identity => self.bytes.clone(),
            Encoding::Gzip => self
                .gzip
                .get_or_init(|| gzip(&self.bytes, self.effort))
                .clone(),
            Encoding::Brotli => self
                .brotli
                .get_or_init(|| brotli(&self.bytes, self.effort))
                .clone(),
        }
    }
}

/// Gives `response` the body `bytes`, coded for it alone and as `encoding` says, if that saves a
/// packet.
pub fn set_body(response: &mut Response, bytes: Bytes, encoding: Encoding) {
    let encoding = if bytes.len() < BYTES_MIN {
        Encoding::Identity
    } else {
        encoding
    };
    let bytes = match encoding {
        Encoding::Identity => bytes,
        Encoding::Gzip => gzip(&bytes, Effort::Quick),
        Encoding::Brotli => brotli(&bytes, Effort::Quick),
    };
    *response.body_mut() = axum::body::Body::from(bytes);
    let headers = response.headers_mut();
    headers.remove(CONTENT_LENGTH);
    headers.append(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(word) = encoding.word() {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(word));
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

/// The coding that a request takes and that is smallest, by RFC 9110, 12.5.3: weights count, `*`
/// stands for what is not named, and a request that names none gets the plain bytes.
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

    #[test]
    fn what_saves_no_packet_is_sent_as_it_is() {
        let document = Document::new("short", "text/plain", "v1", Effort::Best);
        let response = document.answer(&headers("br"));
        assert!(response.headers().get(CONTENT_ENCODING).is_none());
    }
}
