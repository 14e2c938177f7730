//! What a request presents, read once: client, reader, and tokens.

use contract::cookies::{HOST_PREFIX, PASS_PREFIX, PLACE_PREFIX, SESSION, SESSION_SECURE};
use contract::principal::PASS;
use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue};
use web::cookie::{COOKIES_MAX, pairs};
use web::origin::is_same_origin;
use web::reader::{Reader, is_speculative, reader};

use super::client_ip::ClientIp;

/// What a request presents, unverified.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The client address.
    pub client: ClientIp,
    /// Whether a person or a program reads the response.
    pub reader: Reader,
    /// The browser prefetches or prerenders; its user may never open the page.
    pub is_speculative: bool,
    /// Comes from a page of this site or from a program, not from another site's page.
    pub is_own: bool,
    /// How the fan reached the gateway, or the proxy before it.
    pub scheme: Scheme,
    /// The `Origin` header.
    pub origin: Option<HeaderValue>,
    /// The `Host` header.
    pub host: Option<HeaderValue>,
    /// The shop's session cookie came along; its owner may own a hold.
    pub has_shop_session: bool,
    bearer: Option<Text>,
    pass_header: Option<HeaderValue>,
    places: Vec<OfRoom>,
    passes: Vec<OfRoom>,
}

/// How to read requests.
#[derive(Clone, Copy, Debug)]
pub struct ReadAs<'a> {
    /// Fans connect over HTTPS, so only cookies with a secure prefix count.
    pub is_secure: bool,
    /// The origin of the gateway's own pages, as [`web::origin::origin_of`] returns it.
    pub public_origin: &'a str,
}

/// A part of a header value. Clones share its bytes.
#[derive(Clone, Debug)]
struct Text {
    header: HeaderValue,
    from: usize,
    to: usize,
}

/// A cookie of the gateway's, whose name contains a room.
#[derive(Clone, Debug)]
struct OfRoom {
    room: Text,
    token: Text,
}

impl Presented {
    /// Reads the `headers` of a request from `client`.
    pub fn read(headers: &HeaderMap, client: ClientIp, read_as: ReadAs<'_>) -> Self {
        let mut presented = Self {
            client,
            reader: reader(headers),
            is_speculative: is_speculative(headers),
            is_own: is_same_origin(headers, read_as.public_origin),
            scheme: if read_as.is_secure {
                Scheme::HTTPS
            } else {
                Scheme::HTTP
            },
            origin: headers.get(ORIGIN).cloned(),
            host: headers.get(HOST).cloned(),
            has_shop_session: false,
            bearer: headers.get(AUTHORIZATION).and_then(bearer),
            pass_header: headers.get(PASS).cloned(),
            places: Vec::new(),
            passes: Vec::new(),
        };
        let cookies = headers
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| pairs(header).map(move |pair| (header, pair)));
        for (header, pair) in cookies.take(COOKIES_MAX) {
            presented.note_cookie(header, pair, read_as.is_secure);
        }
        presented
    }

    /// The text of the bearer token.
    pub fn bearer(&self) -> Option<&str> {
        self.bearer.as_ref().map(Text::as_str)
    }

    /// The text of the header in which programs present a pass.
    pub fn pass_header(&self) -> Option<&str> {
        self.pass_header.as_ref()?.to_str().ok()
    }

    /// The place cookie of `room`.
    pub fn place_cookie(&self, room: &str) -> Option<&str> {
        let of_room = self
            .places
            .iter()
            .find(|cookie| cookie.room.as_str() == room);
        of_room.map(|cookie| cookie.token.as_str())
    }

    /// The pass cookies, each with its room's name.
    pub fn pass_cookies(&self) -> impl Iterator<Item = (&str, &str)> {
        let cookies = self.passes.iter();
        cookies.map(|cookie| (cookie.room.as_str(), cookie.token.as_str()))
    }

    /// Skips a cookie that is not text and keeps the others: other parts of a site may set cookies
    /// with arbitrary bytes.
    fn note_cookie(&mut self, header: &HeaderValue, pair: &[u8], is_secure: bool) {
        let Some(equals) = pair.iter().position(|byte| *byte == b'=') else {
            return;
        };
        let name = pair[..equals].trim_ascii_start();
        let shop = if is_secure { SESSION_SECURE } else { SESSION };
        if name == shop.as_bytes() {
            self.has_shop_session |= std::str::from_utf8(pair).is_ok();
            return;
        }
        let bare = if is_secure {
            name.strip_prefix(HOST_PREFIX.as_bytes())
        } else {
            Some(name)
        };
        let Some(bare) = bare else { return };
        let found = [
            (PLACE_PREFIX, &mut self.places),
            (PASS_PREFIX, &mut self.passes),
        ]
        .into_iter()
        .find_map(|(prefix, list)| Some((bare.strip_prefix(prefix.as_bytes())?, list)));
        if let Some((room, list)) = found
            && let Some(room) = Text::of(header, room)
            && let Some(token) = Text::of(header, pair[equals + 1..].trim_ascii_end())
        {
            list.push(OfRoom { room, token });
        }
    }
}

impl Text {
    /// `part`, which must be a slice of `header`; `None` where it is not text.
    fn of(header: &HeaderValue, part: &[u8]) -> Option<Self> {
        std::str::from_utf8(part).ok()?;
        let from = header.as_bytes().as_ptr_range();
        let from = part.as_ptr().addr().checked_sub(from.start.addr())?;
        Some(Self {
            header: header.clone(),
            from,
            to: from + part.len(),
        })
    }

    fn as_str(&self) -> &str {
        let part = self.header.as_bytes().get(self.from..self.to);
        // Checked in `of`.
        std::str::from_utf8(part.unwrap_or_default()).unwrap_or_default()
    }
}

fn bearer(header: &HeaderValue) -> Option<Text> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let is_bearer = scheme.eq_ignore_ascii_case("bearer");
    is_bearer.then(|| Text::of(header, token.as_bytes()))?
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;
    use crate::edge::client_ip::TrustedProxies;

    fn read(is_secure: bool, headers: &[(HeaderName, &[u8])]) -> Presented {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.clone(), HeaderValue::from_bytes(value).unwrap()))
            .collect();
        let client = TrustedProxies::default().client_ip([192, 0, 2, 1].into(), &headers);
        let read_as = ReadAs {
            is_secure,
            public_origin: "https://tickets.example",
        };
        Presented::read(&headers, client, read_as)
    }

    fn passes(presented: &Presented) -> Vec<(&str, &str)> {
        presented.pass_cookies().collect()
    }

    #[test]
    fn cookies_of_ours_are_found_among_others() {
        let found = read(
            false,
            &[
                (
                    COOKIE,
                    b"name=Zo\xeb; ropeline_place_eras=v1.abc ;x; ropeline_pass_eras=a=b",
                ),
                (COOKIE, b"ropeline_pass_other=jwt;ropeline_pass_bad=\xff"),
            ],
        );
        assert_eq!(found.place_cookie("eras"), Some("v1.abc"));
        assert_eq!(found.place_cookie("other"), None);
        assert_eq!(passes(&found), [("eras", "a=b"), ("other", "jwt")]);
        assert!(!found.has_shop_session);
        assert_eq!((found.bearer(), found.pass_header()), (None, None));
    }

    #[test]
    fn a_plain_cookie_is_not_believed_on_https() {
        let sent: &[(HeaderName, &[u8])] = &[(
            COOKIE,
            b"ropeline_pass_eras=x; __Host-ropeline_pass_eras=y; ropeline_session=s",
        )];
        assert_eq!(passes(&read(true, sent)), [("eras", "y")]);
        assert!(!read(true, sent).has_shop_session);
        assert_eq!(passes(&read(false, sent)), [("eras", "x")]);
        assert!(read(false, sent).has_shop_session);
    }

    #[test]
    fn a_bearer_token_is_read_in_any_spelling_of_its_scheme() {
        for (value, token) in [
            (&b"Bearer abc"[..], Some("abc")),
            (b"bearer  abc ", Some("abc")),
            (b"Basic abc", None),
            (b"Bearer", None),
        ] {
            let found = read(false, &[(AUTHORIZATION, value)]);
            assert_eq!(found.bearer(), token);
        }
        let found = read(false, &[(PASS, b"jwt")]);
        assert_eq!(found.pass_header(), Some("jwt"));
    }

    #[test]
    fn no_more_cookies_than_browsers_send_are_looked_at() {
        let mut many = "a=1;".repeat(COOKIES_MAX);
        many.push_str("ropeline_pass_eras=jwt");
        assert!(passes(&read(false, &[(COOKIE, many.as_bytes())])).is_empty());
    }
}
