//! What is wrong with a request's head before anyone looks at its path.
//!
//! The parser takes more than is allowed here, because only what was read can be answered with a
//! request id, a page for people, and the removal of cookies.

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
/// Cookies of ours that one answer removes, 100 bytes each: proxies take 4 KiB of headers from us.
/// What is still too much is removed with the next.
const COOKIES_REMOVED_MAX: usize = 20;
/// Bytes of an address as browsers are usually sent to.
const ADDRESS_USUAL: usize = 1024;

/// Refuses a head that is too large or does not say which host it means, and brings an
/// absolute address into the form that everything behind works with.
pub fn settle(head: &mut Parts) -> Result<(), Box<Response>> {
    let size = Size::of(head);
    if size.is_over() {
        tracing::debug!(?size, "a request's head is too large");
        let removes = size.is_by_our_cookies();
        let mut response = ApiError::from(too_large(removes)).into_response();
        if removes {
            // The next request would be as large.
            remove_our_cookies(&head.headers, response.headers_mut());
        }
        return Err(Box::new(response));
    }
    settle_host(head).map_err(|problem| Box::new(ApiError::from(problem).into_response()))
}

/// How large a head is.
#[derive(Clone, Copy, Debug)]
struct Size {
    /// Bytes of the address.
    address: usize,
    /// Bytes of the headers.
    fields: usize,
    /// Bytes of cookies of ours among them.
    ours: usize,
    /// How many headers.
    count: usize,
}

impl Size {
    fn of(head: &Parts) -> Self {
        let address = head.uri.path_and_query();
        // A colon, a space and the end of the line stand around each name and value.
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
            // An equals sign, a semicolon and a space stand around each.
            size.ours = ours.map(|(name, value)| name.len() + value.len() + 3).sum();
        }
        size
    }

    const fn is_over(self) -> bool {
        self.address + self.fields > HEAD_BYTES_MAX || self.count > HEADERS_MAX
    }

    /// Whether requests of a usual address are too large because of cookies of ours, and would not
    /// be without them. Nobody loses a place for a long address, or for cookies of the shop.
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

/// RFC 9112 §3.2: a request of HTTP/1.1 names one host, and an absolute address goes before it.
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

/// Removes the cookies of ours that came with `request` from the browser. Passes are spared while
/// there are places to remove: a place that is lost is found again by its room's page.
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
