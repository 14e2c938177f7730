//! Sends people who come without TLS to where it is spoken.
//!
//! Programs are answered where they come: what they sent has been on the wire already, and those of
//! this machine use the plain listener on purpose.

use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, HOST, LOCATION};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, StatusCode};

/// The redirect for a person's request; `None` for one that has to be answered where it came. The
/// host stays, and the port becomes that of `public_origin`, which begins with `https://`.
pub fn redirect(head: &Parts, public_origin: &str) -> Option<Response> {
    let target = target(head, public_origin)?;
    let location = HeaderValue::try_from(target).ok()?;
    let headers = [
        (LOCATION, location),
        // Where TLS is spoken may change.
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Some((StatusCode::PERMANENT_REDIRECT, headers).into_response())
}

fn target(head: &Parts, public_origin: &str) -> Option<String> {
    if head.method != Method::GET && head.method != Method::HEAD {
        return None;
    }
    let public: Authority = public_origin.strip_prefix("https://")?.parse().ok()?;
    let host: Authority = head.headers.get(HOST)?.to_str().ok()?.parse().ok()?;
    let path = head.uri.path_and_query()?;
    Some(match public.port() {
        Some(port) => format!("https://{}:{port}{path}", host.host()),
        None => format!("https://{}{path}", host.host()),
    })
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn sent_to(method: Method, host: &str, path: &str, origin: &str) -> Option<String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host);
        target(&request.body(()).unwrap().into_parts().0, origin)
    }

    #[test]
    fn the_host_stays_and_the_port_is_the_public_one() {
        let to = |host, path, origin| sent_to(Method::GET, host, path, origin).unwrap();
        assert_eq!(
            to("shop.test:8080", "/a?b=c", "https://tickets.test"),
            "https://shop.test/a?b=c"
        );
        assert_eq!(
            to("tickets.test", "/", "https://tickets.test:8443"),
            "https://tickets.test:8443/"
        );
        assert_eq!(
            to("[::1]:8080", "/", "https://tickets.test:8443"),
            "https://[::1]:8443/"
        );
    }

    #[test]
    fn what_cannot_be_sent_again_stays() {
        let origin = "https://tickets.test";
        assert_eq!(sent_to(Method::POST, "tickets.test", "/", origin), None);
        assert_eq!(sent_to(Method::GET, "", "/", origin), None);
        assert_eq!(
            sent_to(Method::GET, "tickets.test", "/", "http://tickets.test"),
            None
        );
    }
}
