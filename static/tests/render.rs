//! Every page in every state: what holds for all of them.

#[path = "../examples/preview/prices.rs"]
mod prices;
#[path = "../examples/preview/shop.rs"]
mod shop;
#[path = "../examples/preview/waiting.rs"]
mod waiting;

use contract::booking::City;
use pages::shop::{CityListPage, CityPage, city, city_list};

/// What a browser may load for the waiting page, as sent without compression.
const WAITING_PAGE_BYTES_MAX: usize = 55_000;

fn all_pages() -> Vec<(String, String)> {
    let pages: Vec<_> = waiting::pages().into_iter().chain(shop::pages()).collect();
    assert!(pages.len() > 30);
    pages
}

/// The text of one page.
fn page(name: &str) -> String {
    let found = all_pages().into_iter().find(|(other, _)| other == name);
    found.expect("a page of that name").1
}

/// What is between `before` and the next `"`, each time.
fn quoted<'a>(html: &'a str, before: &str) -> Vec<&'a str> {
    html.split(before)
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn no_page_needs_anything_the_policy_forbids() {
    for (name, html) in all_pages() {
        assert!(
            !html.contains(" style=") && !html.contains("<style"),
            "{name}"
        );
        assert!(
            !html.contains(" onclick") && !html.contains("javascript:"),
            "{name}"
        );
        for script in html.split("<script").skip(1) {
            let tag = script.split_once("</script>").unwrap().0;
            // Data: browsers neither run it nor hold it against the policy.
            if tag.starts_with(" type=\"application/ld+json\">") {
                continue;
            }
            assert!(
                tag.contains("src=\"/_line/static/") && tag.ends_with('>'),
                "{name}: {tag}"
            );
        }
        for link in quoted(&html, "<link rel=\"stylesheet\" href=\"") {
            assert!(link.starts_with(pages::ASSET_PREFIX), "{name}: {link}");
        }
    }
}

#[test]
fn every_asset_a_page_names_exists() {
    let prefix = pages::asset_url("");
    for (name, html) in all_pages() {
        let paths = quoted(&html, &prefix);
        assert!(!paths.is_empty(), "{name}");
        for path in paths {
            assert!(pages::asset(path).is_some(), "{name}: {path}");
        }
    }
}

#[test]
fn every_element_a_script_looks_for_is_on_its_page() {
    let html = [page("waiting-waiting"), page("shop-seats")];
    let scripts = [
        ["js/main.js", "js/room_view.js"],
        ["js/seats/main.js", "js/seats/seat_view.js"],
    ];
    for (html, scripts) in html.iter().zip(scripts) {
        for script in scripts {
            let source = pages::asset(script).unwrap();
            let source = str::from_utf8(source.bytes).unwrap();
            let calls = [
                "element(\"",
                "show(\"",
                "write(\"",
                "optional(\"",
                "figure(\"",
            ];
            for id in calls.iter().flat_map(|call| quoted(source, call)) {
                assert!(
                    html.contains(&format!("id=\"{id}\"")),
                    "{script} wants #{id}"
                );
            }
        }
    }
}

#[test]
fn the_waiting_page_with_all_it_loads_is_light() {
    let html = page("waiting-waiting");
    let mut wanted: Vec<String> = quoted(&html, &pages::asset_url(""))
        .into_iter()
        .map(str::to_owned)
        .collect();
    let mut loaded: Vec<String> = Vec::new();
    let mut bytes = html.len();
    while let Some(path) = wanted.pop() {
        if loaded.contains(&path) {
            continue;
        }
        let asset = pages::asset(&path).unwrap();
        bytes += asset.bytes.len();
        let source = str::from_utf8(asset.bytes).unwrap();
        for import in quoted(source, "from \"./") {
            let folder = path.rsplit_once('/').unwrap().0;
            wanted.push(format!("{folder}/{import}"));
        }
        loaded.push(path);
    }
    assert!(
        loaded.iter().any(|path| path == "js/texts/en.js"),
        "{loaded:?}"
    );
    assert!(bytes < WAITING_PAGE_BYTES_MAX, "{bytes} bytes: {loaded:?}");
}

#[test]
fn a_page_works_without_scripts() {
    let waiting = page("waiting-waiting");
    for said in [
        "You are in line",
        "about 12,400",
        "about 10 to 14 minutes",
        "400,210",
    ] {
        assert!(waiting.contains(said), "{said}");
    }
    assert!(waiting.contains("<noscript><meta http-equiv=\"refresh\" content=\"5\">"));
    let outside = page("outside-queueing");
    assert!(outside.contains("method=\"post\""));
    // The page is the same for everyone who has no place, so it names none.
    assert!(outside.contains("name=\"nonce\" id=\"nonce\">"));
    let leave = quoted(&waiting, "id=\"leave-form\" method=\"post\" action=\"");
    assert!(leave[0].contains("rooms&#x2f;monsoon&#x2f;leave?to="));
    let called = page("waiting-called");
    assert_eq!(quoted(&called, "id=\"enter\" href=\"").len(), 1);
    assert!(called.contains("58 s left"));
}

#[test]
fn only_what_fits_the_state_is_offered() {
    let hidden = |html: &str, tag: &str| {
        let rest = html.split_once(tag).unwrap().1;
        rest.split('>').next().unwrap().contains("hidden")
    };
    for (name, join, turn) in [
        ("outside-queueing", true, false),
        ("outside-closed", false, false),
        ("waiting-waiting", false, false),
        ("waiting-called", false, true),
        ("waiting-admitted", false, true),
        ("waiting-left", true, false),
        ("waiting-missed", true, false),
        ("waiting-sold-out", false, false),
        ("unavailable", false, false),
    ] {
        let html = page(name);
        assert_eq!(!hidden(&html, "id=\"join\""), join, "{name}: join");
        assert_eq!(!hidden(&html, "id=\"turn\""), turn, "{name}: turn");
        let leaves = matches!(name, "waiting-waiting" | "waiting-missed");
        assert_eq!(!hidden(&html, "id=\"leave\""), leaves, "{name}: leave");
        let over = html.contains("data-mood=\"over\"");
        assert_eq!(!hidden(&html, "id=\"way-out\""), over, "{name}: way out");
    }
    let lost = page("outside-cookie-lost");
    assert!(hidden(&lost, "id=\"join\"") && lost.contains("allow cookies"));
    assert!(!lost.contains("data-auto-join"));
    assert!(page("outside-queueing").contains("data-auto-join"));
    assert!(!page("outside-refused").contains("data-auto-join"));
    assert!(!page("outside-closed").contains("data-auto-join"));
}

#[test]
fn what_people_write_is_escaped() {
    let evil = "<script>alert(1)</script>\"'";
    let city_of = City {
        city_id: "mumbai".parse().unwrap(),
        name: evil.to_owned(),
        country: "IN".to_owned(),
        time_zone: "Asia/Kolkata".to_owned(),
        show_count: 0,
    };
    let list = city_list(&CityListPage {
        cities: vec![city_of.clone()],
        coming: Vec::new(),
        origin: String::new(),
    });
    let shows = city(&CityPage {
        city: city_of,
        date: Some(evil.to_owned()),
        q: Some(evil.to_owned()),
        shows: Vec::new(),
        origin: String::new(),
    });
    for html in [list, shows] {
        assert!(!html.contains("<script>") && html.contains("&lt;script&gt;"));
        assert!(!html.contains("\"'\""));
    }
}

#[test]
fn a_form_names_the_seats_that_are_gone_and_keeps_the_others() {
    let html = page("shop-seats-taken");
    assert!(html.contains("No longer free: C10"));
    assert!(html.contains("name=\"seats\" id=\"seats\" value=\"C11\""));
    assert!(html.contains("role=\"alert\""));
}

#[test]
fn show_pages_are_for_search_engines_and_personal_ones_are_not() {
    for (name, html) in all_pages() {
        let public =
            name.starts_with("shop-show-") || ["shop-cities", "shop-city"].contains(&&*name);
        assert_eq!(!html.contains("content=\"noindex\""), public, "{name}");
        assert_eq!(
            html.contains("rel=\"canonical\""),
            public || name == "shop-city-nothing",
            "{name}"
        );
    }
    let html = page("shop-show-open");
    assert!(
        html.contains("<meta name=\"description\" content=\"Sun 22 Nov 2026, 21:30, Jamshed Hall.")
    );
    let json = html
        .split("<script type=\"application/ld+json\">")
        .nth(1)
        .unwrap();
    let json = json.split("</script>").next().unwrap();
    let event: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(event["@type"], "Event");
    assert_eq!(event["startDate"], "2026-11-22T21:30:00+05:30");
    assert_eq!(event["offers"][0]["price"], "4999.00");
    assert_eq!(
        event["offers"][0]["availability"],
        "https://schema.org/InStock"
    );
    assert_eq!(
        event["url"],
        "https://tickets.example/shows/monsoon-mumbai-1"
    );
}

#[test]
fn sold_out_for_good_differs_from_held_by_others() {
    let (gone, held) = (page("shop-show-gone"), page("shop-show-held"));
    assert!(gone.contains("Sold out.") && !gone.contains("come back"));
    assert!(held.contains("held by somebody") && held.contains("14 seats are being bought"));
    assert!(!held.contains("Sold out"));
    let seats = page("shop-seats");
    assert!(seats.contains("all held by others") && seats.contains(", sold out"));
}

#[test]
fn holds_and_tickets_say_where_the_seat_is() {
    assert!(page("shop-hold").contains("Stalls, row C, seat 11"));
    assert!(page("shop-hold").contains("step-free"));
    let tickets = page("shop-booking");
    assert!(tickets.contains("Row C, seat 11") && tickets.contains("Stalls"));
}

#[test]
fn tickets_can_be_taken_along_and_the_way_be_found() {
    let plain = |name: &str| page(name).replace("&#x2f;", "/");
    let tickets = plain("shop-booking");
    for file in ["tickets.pdf", "calendar.ics"] {
        let link = format!("/api/v1/bookings/bkg_0190163d8694739baea51966c26f8ad9/{file}\"");
        assert!(tickets.contains(&link), "{link} is missing from: {tickets}");
    }
    for name in ["shop-booking", "shop-show-gone"] {
        let page = plain(name);
        assert!(
            page.contains("href=\"https://www.openstreetmap.org/"),
            "{page}"
        );
        assert!(page.contains("rel=\"noreferrer\">Map</a>"), "{page}");
    }
}

#[test]
fn the_policy_lets_forms_lead_to_the_payment_provider_only() {
    let policy = pages::content_security_policy(Some("https://pay.example.org"));
    assert!(policy.contains("form-action 'self' https://pay.example.org;"));
    assert!(policy.contains("default-src 'none'") && policy.contains("script-src 'self';"));
    assert!(!policy.contains("unsafe"));
}

#[test]
fn the_page_of_a_show_says_what_its_line_is_doing() {
    let says = |name: &str, text: &str| page(name).contains(text);
    let joins = |name: &str| page(name).replace("&#x2f;", "/").contains("/_line/rooms/");
    assert!(joins("shop-show-line-paused") && says("shop-show-line-paused", "The line is paused"));
    assert!(joins("shop-show-line-gathering") && says("shop-show-line-gathering", "by lot"));
    assert!(joins("shop-show-line-idle") && says("shop-show-line-idle", "Choose seats"));
    assert!(says("shop-show-line-closed", "The line is closed"));
    assert!(!joins("shop-show-line-closed"));
}

#[test]
fn the_draw_is_told_where_there_is_one() {
    let with = page("waiting-prequeue");
    assert!(
        with.contains("<details class=\"draw\" id=\"draw\">"),
        "{with}"
    );
    let without = page("waiting-next");
    assert!(without.contains("id=\"draw\" hidden>"), "{without}");
}
