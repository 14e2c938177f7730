//! What is answered without the router, because it is ready to be sent.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::response::Response;
use booking_core::{Rate, Rates};
use contract::principal::{self, Principal};
use contract::{PlaceId, Timestamp};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE, ETAG, IF_NONE_MATCH, RETRY_AFTER, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;
use tower::ServiceExt;
use web::{AtHand, LimitedAs, Reading};

use crate::behind_a_gate::behind_a_gate;
use crate::fan::{Fan, SHOW};
use crate::test_shop::{TestShop, show_file};

const PAGE: &str = "/shows/eras-mumbai-1";
const MAP: &str = "/api/v1/shows/eras-mumbai-1/seatmap";
const COMPACT: &str = "/api/v1/shows/eras-mumbai-1/seatmap/compact";

/// The largest answer of a test.
const BYTES_MAX: usize = 1 << 20;

fn headers(fields: &[(HeaderName, &str)]) -> HeaderMap {
    let fields = fields.iter();
    fields
        .map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

/// What is at hand for a visitor without a pass.
fn ready(at_hand: &Arc<dyn AtHand>, path: &str, headers: &HeaderMap) -> Option<Response> {
    at_hand.answer(&Reading {
        path,
        headers,
        principals: &[],
        limited_as: None,
    })
}

async fn routed(shop: &TestShop, path: &str, headers: &HeaderMap) -> Response {
    let mut request = Request::get(path).body(Body::empty()).unwrap();
    request.headers_mut().extend(headers.clone());
    let Ok(response) = shop.process.booking.router().oneshot(request).await;
    response
}

/// Everything about a response but its id, and its length, which is the body's.
async fn whole(response: Response) -> (u16, Vec<(String, HeaderValue)>, Vec<u8>) {
    let (head, body) = response.into_parts();
    let mut headers: Vec<_> = head
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != "content-length")
        .map(|(name, value)| (name.to_string(), value.clone()))
        .collect();
    headers.sort_by(|a, b| a.0.cmp(&b.0));
    let body = to_bytes(body, BYTES_MAX).await.unwrap();
    (head.status.as_u16(), headers, body.to_vec())
}

fn a_pass() -> Principal {
    Principal {
        room: "eras".parse().unwrap(),
        subject: PlaceId::from_bytes([1; 16]),
        expires_at: Timestamp::from_ms(1_900_000_000_000),
        is_live: true,
    }
}

#[tokio::test]
async fn what_is_at_hand_is_what_the_router_answers() {
    let mut file = show_file();
    file["description"] = json!("Three hours, ten acts. ".repeat(60));
    let shop = TestShop::with(file).await;
    let at_hand = shop.process.booking.at_hand();
    for path in [PAGE, MAP, COMPACT] {
        for accepted in ["", "gzip", "gzip, deflate, br", "br;q=0.1, gzip;q=0.5"] {
            let asked = headers(&[(ACCEPT_ENCODING, accepted)]);
            let by_router = whole(routed(&shop, path, &asked).await).await;
            let at_once = whole(ready(&at_hand, path, &asked).unwrap()).await;
            assert_eq!(at_once.1, by_router.1, "{path} {accepted:?}");
            assert!(at_once == by_router, "{path} {accepted:?}");
            let tag = by_router.1.iter().find(|(name, _)| name == ETAG.as_str());
            let Some((_, tag)) = tag else {
                assert_eq!(path, PAGE, "a page may not be kept");
                continue;
            };
            let mut knowing = asked.clone();
            knowing.insert(IF_NONE_MATCH, tag.clone());
            let by_router = whole(routed(&shop, path, &knowing).await).await;
            let at_once = whole(ready(&at_hand, path, &knowing).unwrap()).await;
            assert_eq!((at_once.0, at_once.2.len()), (304, 0));
            assert_eq!(at_once, by_router, "{path} {accepted:?}");
        }
    }
    for path in [
        "/shows/no-such-show",
        "/shows/eras-mumbai-1/seats",
        "/",
        SHOW,
    ] {
        assert!(ready(&at_hand, path, &HeaderMap::new()).is_none(), "{path}");
    }
}

#[tokio::test]
async fn a_tag_is_good_for_one_form_only() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let tag_of = async |accepted: &str| {
        let fan = fan.clone().with_header("accept-encoding", accepted);
        let answer = fan.get(MAP).await;
        (
            answer.headers[ETAG].clone(),
            answer.headers.get(CONTENT_ENCODING).cloned(),
        )
    };
    let mut forms = Vec::new();
    for accepted in ["", "gzip", "br"] {
        // Asked for twice: the second is at hand.
        tag_of(accepted).await;
        forms.push((accepted, tag_of(accepted).await));
    }
    for (accepted, (tag, _)) in &forms {
        for (wanted, (own, encoding)) in &forms {
            let fan = fan.clone().with_header("accept-encoding", wanted);
            let fan = fan.with_header("if-none-match", tag.to_str().unwrap());
            let answer = fan.get(MAP).await;
            let expected = if accepted == wanted { 304 } else { 200 };
            assert_eq!(answer.status, expected, "{tag:?} asked for {wanted:?}");
            assert_eq!(answer.headers[ETAG], *own);
            assert_eq!(answer.headers[VARY], "accept-encoding");
            if expected == 200 {
                assert_eq!(answer.headers.get(CONTENT_ENCODING), encoding.as_ref());
            }
        }
    }
}

#[tokio::test]
async fn nobody_gets_the_page_of_another() {
    let shop = TestShop::new().await;
    let (fan, other) = (shop.fan(), shop.fan());
    fan.held(&["A1"]).await;
    for _ in 0..2 {
        assert!(fan.get(PAGE).await.text.contains("You hold 1 seat"));
        assert!(!other.get(PAGE).await.text.contains("You hold"));
        assert!(
            !fan.without_cookies()
                .get(PAGE)
                .await
                .text
                .contains("You hold")
        );
    }
    // Of who may hold something nothing is at hand, and what a client says of itself is no pass.
    let at_hand = shop.process.booking.at_hand();
    let session = shop.process.booking.session_new().set_cookie(false);
    let session = session.to_str().unwrap().split(';').next().unwrap();
    let with_session = headers(&[(COOKIE, session)]);
    other.get(MAP).await;
    assert!(ready(&at_hand, PAGE, &with_session).is_none());
    assert!(ready(&at_hand, MAP, &with_session).is_some());
    let mut forged = HeaderMap::new();
    principal::write(&[a_pass()], &mut forged);
    let as_forged = whole(ready(&at_hand, PAGE, &forged).unwrap()).await;
    let as_nobody = whole(ready(&at_hand, PAGE, &HeaderMap::new()).unwrap()).await;
    assert_eq!(as_forged, as_nobody);
    let with_pass = at_hand.answer(&Reading {
        path: PAGE,
        headers: &HeaderMap::new(),
        principals: &[a_pass()],
        limited_as: None,
    });
    assert!(with_pass.is_none());
}

#[tokio::test]
async fn the_way_in_is_on_the_page_of_those_with_a_pass_only() {
    let mut file = show_file();
    file["room"] = json!("eras");
    let shop = TestShop::with(file).await;
    let (with_pass, without) = (shop.fan().with_pass("eras", 1), shop.fan());
    for _ in 0..2 {
        let page = without.get(PAGE).await.text;
        assert!(page.contains("Join the line"), "{page}");
        let page = with_pass.get(PAGE).await.text;
        assert!(page.contains("Choose seats"), "{page}");
    }
}

#[tokio::test]
async fn a_hold_shows_at_once() {
    let shop = TestShop::new().await;
    let (fan, other) = (shop.fan(), shop.fan());
    let free = async || {
        let page = other.get(PAGE).await.text;
        let (before, _) = page.split_once("</strong> of 20 seats are free").unwrap();
        before.rsplit_once('>').unwrap().1.to_owned()
    };
    assert_eq!((free().await, free().await), ("19".into(), "19".into()));
    assert_eq!(other.seat("A1").await, "AVAILABLE");
    let tag = other.get(COMPACT).await.headers[ETAG].clone();
    let knowing = other
        .clone()
        .with_header("if-none-match", tag.to_str().unwrap());
    assert_eq!(knowing.get(COMPACT).await.status, 304);
    let hold = fan.held(&["A1", "A2"]).await;
    assert_eq!(free().await, "17");
    assert_eq!(other.seat("A1").await, "HELD");
    assert_eq!(knowing.get(COMPACT).await.status, 200);
    assert_eq!(fan.delete(&hold).await.status, 204);
    assert_eq!(free().await, "19");
    assert_eq!(other.seat("A1").await, "AVAILABLE");
    assert_eq!(knowing.get(COMPACT).await.status, 200);
}

#[tokio::test]
async fn a_page_follows_the_clock_and_the_catalogue() {
    let shop = TestShop::new().await;
    let fan = shop.fan();
    let now = contract::Clock::now(&shop.clock);
    let mut file = show_file();
    file["saleOpensAt"] = json!(now.plus(Duration::from_secs(65)));
    assert_eq!(shop.import(file.clone()).await.0, 200);
    let shows = async |text: &str| {
        let page = fan.get(PAGE).await.text;
        assert!(page.contains(text), "no {text:?} in {page}");
    };
    shows("In 1 min 5 s.").await;
    shop.clock.advance(Duration::from_secs(6));
    shows("In 59 s.").await;
    shop.clock.advance(Duration::from_secs(59));
    shows("seats are free").await;
    file["title"] = json!("The last night");
    assert_eq!(shop.import(file).await.0, 200);
    shows("The last night").await;
}

#[tokio::test]
async fn whoever_asks_too_often_is_refused_and_nothing_counts_twice() {
    let shop = TestShop::new().await;
    let rates = |customer: u32, address: u32| {
        let rate = |burst| Rate {
            per_second: NonZeroU32::MIN,
            burst: NonZeroU32::new(burst).unwrap(),
        };
        let mut rates = Rates::default();
        rates.browse.customer = rate(customer);
        rates.browse.address = rate(address);
        rates
    };
    // By customer, who asks for the map, at hand from the second time on.
    let process = shop.another_process_limited(rates(3, 1000)).await;
    let fan = Fan::new(behind_a_gate(&process.booking)).with_pass("eras", 1);
    for _ in 0..3 {
        assert_eq!(fan.get(MAP).await.status, 200);
    }
    let refused = fan.get(MAP).await;
    assert_eq!((refused.status, refused.code()), (429, "rate-limited"));
    assert!(refused.headers.contains_key(RETRY_AFTER));
    // By address, whose fourth request is refused whatever it is for.
    let process = shop.another_process_limited(rates(1000, 3)).await;
    let router = behind_a_gate(&process.booking);
    let get = async |path: &str| {
        let mut request = Request::get(path).body(Body::empty()).unwrap();
        let address: IpAddr = [192, 0, 2, 1].into();
        request.extensions_mut().insert(LimitedAs(address));
        request
            .headers_mut()
            .insert("accept", "text/html".parse().unwrap());
        let Ok(response) = router.clone().oneshot(request).await;
        whole(response).await
    };
    for path in [PAGE, MAP, PAGE] {
        assert_eq!(get(path).await.0, 200, "{path}");
    }
    let (status, _, page) = get(PAGE).await;
    assert_eq!(status, 429);
    // As a page of the shop.
    assert!(String::from_utf8_lossy(&page).contains("Box office"));
    assert_eq!(get(MAP).await.0, 429);
}
