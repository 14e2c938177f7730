//! Checks of a request's head that do not depend on its path.
//!
//! The parser's limits are larger than the limits here, because only a parsed request can be
//! answered with a request id, a page for people, and the removal of cookies.

use axum::response::{IntoResponse, Response};
use contract::cookies::{HOST_PREFIX, PASS_PREFIX, PLACE_PREFIX};
use contract::{Problem, ProblemCode};
use http::header::{HOST, SET_COOKIE};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Uri, Version};
use web::ApiError;

/// Bytes of a request's line and headers together.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 100;
/// Cookies that one response removes. Each takes about 100 bytes of headers, of which common
/// proxies accept 4 KiB; further cookies are removed by the next response.
const COOKIES_REMOVED_MAX: usize = 20;
/// Bytes of a request target of usual length.
const ADDRESS_USUAL: usize = 1024;

/// Refuses a head that is too large or does not name one host, and rewrites an absolute request
/// target to origin form.
pub fn settle(head: &mut Parts) -> Result<(), Box<Response>> {
    let size = Size::of(head);
    if size.is_over() {
        tracing::debug!(?size, "a request's head is too large");
        let removes = size.is_by_our_cookies();
        let mut response = ApiError::from(too_large(removes)).into_response();
        if removes {
            // Without this the browser's next request would be as large.
            remove_our_cookies(&head.headers, response.headers_mut());
        }
        return Err(Box::new(response));
    }
    settle_host(head).map_err(|problem| Box::new(ApiError::from(problem).into_response()))
}

/// The size of a head.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Bytes of the request target.
    address: usize,
    /// Bytes of the headers.
    fields: usize,
    /// Bytes of the gateway's own cookies among them.
    ours: usize,
    /// Number of headers.
    count: usize,
}

impl Size {
    fn of(head: &Parts) -> Self {
        let address = head.uri.path_and_query();
        // Each header also takes a colon, a space, CR and LF.
        let fields = head.headers.iter();
        let fields = fields.map(|(name, value)| name.as_str().len() + value.len() + 4);
        let mut size = Self {
            address: address.map_or(0, |address| address.as_str().len()),
            fields: fields.sum(),
            ours: 0,
            count: head.headers.len(),
        };
        if size.is_over() {
            let ours = web::cookie::cookies(&head.headers).filter(|(name, _)| is_ours(name));
            // Each cookie also takes an equals sign, a semicolon and a space.
            size.ours = ours.map(|(name, value)| name.len() + value.len() + 3).sum();
        }
        size
    }

    const fn is_over(self) -> bool {
        self.address + self.fields > HEAD_BYTES_MAX || self.count > HEADERS_MAX
    }

    /// Whether the gateway's own cookies make the head too large: with a target of usual length it
    /// is over the limit with them and under it without them. So no fan loses a place over a long
    /// URL or over the shop's cookies.
    fn is_by_our_cookies(self) -> bool {
        let usual = self.address.min(ADDRESS_USUAL) + self.fields;
        usual > HEAD_BYTES_MAX
            && usual.saturating_sub(self.ours) <= HEAD_BYTES_MAX
            && self.count <= HEADERS_MAX
    }
}

fn too_large(removes: bool) -> Problem {
    let advice = if removes {
        "If this is a browser, trying again may help: cookies of the line were removed."
    } else {
        "A shorter address may help, or fewer cookies of this site."
    };
    Problem::new(ProblemCode::HeadTooLarge).detail(format!(
        "The request's address and headers are more than {HEAD_BYTES_MAX} bytes or \
         {HEADERS_MAX} headers. {advice}"
    ))
}

/// Whether a cookie of this name holds a place or a pass.
fn is_ours(name: &str) -> bool {
    let bare = name.strip_prefix(HOST_PREFIX).unwrap_or(name);
    bare.starts_with(PLACE_PREFIX) || bare.starts_with(PASS_PREFIX)
}

/// RFC 9112 §3.2: an HTTP/1.1 request names exactly one host, and the host of an absolute target
/// takes precedence over `Host`.
fn settle_host(head: &mut Parts) -> Result<(), Problem> {
    let mut hosts = head.headers.get_all(HOST).iter();
    let (first, second) = (hosts.next().cloned(), hosts.next());
    let refused = |detail: &str| Problem::new(ProblemCode::BadRequest).detail(detail);
    if second.is_some() {
        return Err(refused("The request names more than one host."));
    }
    let is_host = |host: &HeaderValue| {
        let host = host.to_str().unwrap_or(" ");
        host.is_empty() || (host.parse::<Authority>().is_ok() && !host.contains('@'))
    };
    if !first.as_ref().is_none_or(is_host) {
        return Err(refused("The request's host cannot be read."));
    }
    let is_connect = head.method == http::Method::CONNECT;
    if let Some(authority) = head.uri.authority().filter(|_| !is_connect) {
        if authority.as_str().contains('@') {
            return Err(refused("The request's address names a user."));
        }
        let host = HeaderValue::from_str(authority.as_str())
            .map_err(|_| refused("The request's host cannot be read."))?;
        let path = head.uri.path_and_query().cloned();
        let path = path.unwrap_or(PathAndQuery::from_static("/"));
        head.headers.insert(HOST, host);
        head.uri = Uri::from(path);
        return Ok(());
    }
    if first.is_none() && head.version >= Version::HTTP_11 {
        return Err(refused("The request names no host."));
    }
    Ok(())
}

/// Removes the gateway's cookies that came with `request` from the browser, place cookies before
/// passes: the room's page can restore a lost place.
fn remove_our_cookies(request: &HeaderMap, answer: &mut HeaderMap) {
    let names = |prefix: &'static str| {
        web::cookie::cookies(request).filter_map(move |(name, _)| {
            let bare = name.strip_prefix(HOST_PREFIX).unwrap_or(name);
            bare.starts_with(prefix).then_some(name)
        })
    };
    let mut removed: Vec<&str> = names(PLACE_PREFIX).take(COOKIES_REMOVED_MAX).collect();
    if removed.is_empty() {
        removed = names(PASS_PREFIX).take(COOKIES_REMOVED_MAX).collect();
    }
    for name in removed {
        let secure = if name.starts_with(HOST_PREFIX) {
            "; Secure"
        } else {
            ""
        };
        let text = format!("{name}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax{secure}");
        if let Ok(value) = HeaderValue::from_str(&text) {
            answer.append(SET_COOKIE, value);
        }
    }
}
