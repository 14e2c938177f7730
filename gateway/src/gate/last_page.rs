//! The page that a shop redirects to in the response that ends a session.
//!
//! A shop that ends the session after the purchase usually redirects to a thank-you page below the
//! protected path. That page may be loaded once, within a minute, together with the resources that
//! it loads; no other protected page may.

use std::time::Duration;

use axum::response::Response;
use contract::Clock;
use contract::pass::PassClaims;
use http::header::{HOST, LOCATION, REFERER, UPGRADE};
use http::request::Parts;
use http::{HeaderMap, Method, Uri};
use line::room::Room;
use line::store::last_pages::LastPage;
use moka::sync::Cache;

use crate::edge::return_target::ReturnTarget;

/// How long after its end a session may still load its last page.
pub(super) const LAST_PAGE_MAX: Duration = Duration::from_mins(1);

/// Passes that are cached as having no last page, so that repeated requests with one of them do not
/// reach the store. A last page is stored before its session ends, so the cache cannot hide one.
const WITHOUT_MAX: u64 = 100_000;
/// How long a pass is cached as having no last page.
const WITHOUT_FOR: Duration = Duration::from_secs(2);

/// Values of `Sec-Fetch-Dest` for resources that a page loads without a script.
const PARTS_OF_A_PAGE: [&str; 9] = [
    "audio", "font", "image", "json", "manifest", "script", "style", "track", "video",
];

/// What a request could be for an ended session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Last {
    /// The last page itself, as its path and query.
    page: Option<String>,
    /// A resource of the last page.
    load: Option<Load>,
}

/// What shows that a resource belongs to a page.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Load {
    /// The browser says that a page of the same origin loads it (`Sec-Fetch-Site`).
    Browser,
    /// The referring page, as its path and query.
    Page(String),
}

impl Last {
    /// Classifies a request by its `head`; `None` if an ended session may not make it, because it
    /// is not a GET or HEAD, or switches protocols.
    pub(super) fn of(head: &Parts) -> Option<Self> {
        let is_get = head.method == Method::GET;
        let headers = &head.headers;
        if !(is_get || head.method == Method::HEAD) || headers.contains_key(UPGRADE) {
            return None;
        }
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let destination = said("sec-fetch-dest");
        let is_part = destination.is_some_and(|name| PARTS_OF_A_PAGE.contains(&name));
        let page = path_of(&head.uri).filter(|_| !is_part);
        let load = match destination {
            _ if !is_get => None,
            Some("document" | "iframe" | "frame") => None,
            Some(_) if is_part && said("sec-fetch-site") == Some("same-origin") => {
                Some(Load::Browser)
            }
            _ => page_that_asks(headers).map(Load::Page),
        };
        Some(Self { page, load })
    }
}

/// Stores and checks last pages.
pub(super) struct LastPageGate {
    without: Cache<String, ()>,
}

impl LastPageGate {
    pub(super) fn new() -> Self {
        Self {
            without: Cache::builder()
                .max_capacity(WITHOUT_MAX)
                .time_to_live(WITHOUT_FOR)
                .build(),
        }
    }

    /// Stores `target` as the last page of the session of `claims`, which is about to end.
    pub(super) async fn keep(&self, room: &Room, claims: &PassClaims, target: &str) {
        let now = room.parts.clock.now();
        let (at, until) = (room.store_ref(), now.plus(LAST_PAGE_MAX));
        let store = &room.parts.store;
        let kept = store.last_page_put(&at, now, &claims.jti, until, target);
        if let Err(error) = kept.await {
            // Without it the fan is redirected to the waiting page; the purchase itself is not
            // affected.
            tracing::warn!(room = %room.id, %error, "the last page of a session is not kept");
        }
    }

    /// Whether the ended session of `claims` may make this request. `false` when the store does not
    /// answer.
    pub(super) async fn is_open(&self, room: &Room, claims: &PassClaims, last: &Last) -> bool {
        if self.without.contains_key(&claims.jti) {
            return false;
        }
        let (at, now) = (room.store_ref(), room.parts.clock.now());
        let (store, pass) = (&room.parts.store, &claims.jti);
        let mut answer = LastPage::Refused;
        if let Some(page) = &last.page {
            let taken = store.last_page_take(&at, now, pass, page).await;
            answer = taken.unwrap_or(LastPage::Refused);
        }
        if let (LastPage::Refused, Some(load)) = (answer, &last.load) {
            let page = match load {
                Load::Browser => None,
                Load::Page(page) => Some(page.as_str()),
            };
            let loaded = store.last_page_load(&at, now, pass, page).await;
            answer = loaded.unwrap_or(LastPage::Refused);
        }
        if answer == LastPage::None {
            self.without.insert(pass.clone(), ());
        }
        answer == LastPage::Granted
    }
}

/// The path and query that a response redirects to on this site; `None` for any other site.
pub(super) fn target_of(asked: &Uri, host: Option<&str>, answer: &Response) -> Option<String> {
    if !answer.status().is_redirection() {
        return None;
    }
    let location = answer.headers().get(LOCATION)?.to_str().ok()?;
    let location = location.split('#').next().unwrap_or_default();
    let path = match location.split_once("://") {
        Some((scheme, rest))
            if scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https") =>
        {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !host.is_some_and(|host| host.eq_ignore_ascii_case(authority)) {
                return None;
            }
            if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            }
        }
        _ if location.starts_with('/') => location.to_owned(),
        _ if location.starts_with('?') => format!("{}{location}", asked.path()),
        _ => {
            let directory = asked.path().rsplit_once('/').map_or("", |(head, _)| head);
            format!("{directory}/{location}")
        }
    };
    safe(&path)
}

fn path_of(uri: &Uri) -> Option<String> {
    safe(uri.path_and_query()?.as_str())
}

/// Returns `path` if the path check accepts it and it is not one of the gateway's own pages.
fn safe(path: &str) -> Option<String> {
    let target = ReturnTarget::parse(Some(path));
    (path == "/" || target.as_str() != "/").then(|| target.as_str().to_owned())
}

/// The referring page, as its path and query, if it is on this site.
fn page_that_asks(headers: &HeaderMap) -> Option<String> {
    let referer: Uri = headers.get(REFERER)?.to_str().ok()?.parse().ok()?;
    let host = headers.get(HOST)?.to_str().ok()?;
    let is_own = referer.authority().is_some_and(|own| own.as_str() == host);
    is_own.then(|| path_of(&referer))?
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use http::{Request, StatusCode};

    use super::*;

    fn check(location: &str, expected: Option<&str>) {
        let answer = (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response();
        let asked = "/eras/pay?x=1".parse().unwrap();
        let found = target_of(&asked, Some("shop.test:80"), &answer);
        assert_eq!(found.as_deref(), expected, "{location}");
    }

    #[test]
    fn only_places_on_this_site_are_led_to() {
        check("/eras/thanks?order=1#top", Some("/eras/thanks?order=1"));
        check("thanks", Some("/eras/thanks"));
        check("?order=1", Some("/eras/pay?order=1"));
        check("http://SHOP.test:80/eras/thanks", Some("/eras/thanks"));
        check("https://shop.test:80?a=b", Some("/?a=b"));
        check("/", Some("/"));
        for elsewhere in [
            "https://shop.test/eras/thanks",
            "https://evil.test/eras/thanks",
            "//evil.test/eras/thanks",
            "https://shop.test:80@evil.test/eras",
            "../thanks",
            "/eras/../thanks",
            "/_line/rooms/eras",
        ] {
            check(elsewhere, None);
        }
        let ok = (StatusCode::OK, [(LOCATION, "/eras/thanks")]).into_response();
        assert_eq!(target_of(&"/eras".parse().unwrap(), None, &ok), None);
    }

    fn last(method: Method, headers: &[(&str, &str)]) -> Option<Last> {
        let mut request = Request::builder().method(method).uri("/eras/a?b=c");
        for (name, value) in [("host", "shop.test")].iter().chain(headers) {
            request = request.header(*name, *value);
        }
        Last::of(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn an_ended_session_reads_and_does_nothing_else() {
        assert_eq!(last(Method::POST, &[]), None);
        assert_eq!(last(Method::OPTIONS, &[]), None);
        assert_eq!(last(Method::GET, &[("upgrade", "websocket")]), None);
        let page = Some("/eras/a?b=c".to_owned());
        let from = ("referer", "http://shop.test/eras/thanks");
        let thanks = || Some(Load::Page("/eras/thanks".to_owned()));
        for (method, headers, load) in [
            (Method::GET, &[][..], None),
            (Method::HEAD, &[from], None),
            (Method::GET, &[from], thanks()),
            (Method::GET, &[from, ("sec-fetch-dest", "empty")], thanks()),
            (Method::GET, &[from, ("sec-fetch-dest", "document")], None),
            (
                Method::GET,
                &[("referer", "http://evil.test/eras/thanks")],
                None,
            ),
        ] {
            let found = last(method, headers).unwrap();
            assert_eq!(
                (found.page, found.load),
                (page.clone(), load),
                "{headers:?}"
            );
        }
        let part = ("sec-fetch-dest", "style");
        let own = last(Method::GET, &[part, ("sec-fetch-site", "same-origin")]).unwrap();
        assert_eq!((own.page, own.load), (None, Some(Load::Browser)));
        let foreign = last(Method::GET, &[part, ("sec-fetch-site", "cross-site")]).unwrap();
        assert_eq!((foreign.page, foreign.load), (None, None));
    }
}
