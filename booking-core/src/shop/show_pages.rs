//! The pages of shows, each rendered once for a state of its show.
//!
//! There are two pages of a show: for visitors who may choose seats, and for those who have to wait
//! first. Both are the same for everybody but for the banner, which has a place of its own in them.

use std::sync::{Arc, Weak};
use std::time::Duration;

use contract::Timestamp;
use contract::booking::SaleStatus;
use contract::line::Phase;
use http::HeaderMap;
use moka::sync::Cache;
use pages::shop::{Banner, ShowPage};
use web::encoding::{Document, Effort};

use crate::live::ShowEntry;
use crate::shows::{SeatFigures, ShowInfo};

/// The media type of pages.
pub(crate) const MEDIA_TYPE: &str = "text/html; charset=utf-8";

/// The pages that were asked for last.
pub(crate) struct ShowPages {
    pages: Cache<PageOf, Arc<RenderedPage>>,
    origin: String,
    headers: HeaderMap,
}

/// Which page of which show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct PageOf {
    show_no: i32,
    may_choose: bool,
}

/// What a page says of a show besides what was imported. A page is rendered from nothing else, so
/// pages of equal states are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ShowState {
    sale_status: SaleStatus,
    figures: SeatFigures,
    /// Whole seconds until the sale opens.
    opens_in: Option<u64>,
    phase: Option<Phase>,
}

/// A page with the state of the show that it says.
pub(crate) struct RenderedPage {
    /// The show as it was imported; a later import makes another entry.
    entry: Weak<ShowEntry>,
    state: ShowState,
    html: String,
    for_everyone: Document,
}

impl ShowPages {
    /// No pages yet, of a shop at `origin` whose pages are sent with `headers`. At most
    /// `bytes_max` bytes are kept.
    pub(crate) fn new(bytes_max: u64, origin: String, headers: HeaderMap) -> Self {
        let weight = |_: &PageOf, page: &Arc<RenderedPage>| {
            // Once with the place of the banner, once without.
            u32::try_from(2 * page.html.len()).unwrap_or(u32::MAX)
        };
        let pages = Cache::builder().max_capacity(bytes_max).weigher(weight);
        Self {
            pages: pages.build(),
            origin,
            headers,
        }
    }

    /// The page of a show at `now`, while its room is in `phase`.
    pub(crate) fn of(
        &self,
        entry: &Arc<ShowEntry>,
        may_choose: bool,
        phase: Option<Phase>,
        now: Timestamp,
    ) -> Arc<RenderedPage> {
        let info = entry.info();
        let state = ShowState::of(info, entry.latest_figures(), phase, now);
        let page_of = PageOf {
            show_no: info.show_no,
            may_choose,
        };
        let known = self.pages.get(&page_of);
        if let Some(page) = known.filter(|page| page.says(entry, state)) {
            return page;
        }
        let page = Arc::new(self.render(entry, state, may_choose));
        self.pages.insert(page_of, Arc::clone(&page));
        page
    }

    fn render(&self, entry: &Arc<ShowEntry>, state: ShowState, may_choose: bool) -> RenderedPage {
        let html = pages::shop::show(&ShowPage {
            show: entry.info().view_with(state.sale_status, state.figures),
            phase: state.phase,
            opens_in: state.opens_in.map(Duration::from_secs),
            may_choose,
            origin: self.origin.clone(),
        });
        let bare = pages::shop::without_banner(&html);
        let for_everyone = Document::untagged(bare, MEDIA_TYPE, Effort::Quick);
        RenderedPage {
            entry: Arc::downgrade(entry),
            state,
            html,
            for_everyone: for_everyone.with_headers(self.headers.clone()),
        }
    }
}

impl ShowState {
    fn of(info: &ShowInfo, figures: SeatFigures, phase: Option<Phase>, now: Timestamp) -> Self {
        let sale_status = info.sale_status(now);
        let is_upcoming = sale_status == SaleStatus::Upcoming;
        Self {
            sale_status,
            figures,
            opens_in: is_upcoming.then(|| info.sale_opens_at.since(now).as_secs()),
            phase,
        }
    }
}

impl RenderedPage {
    fn says(&self, entry: &Arc<ShowEntry>, state: ShowState) -> bool {
        std::ptr::eq(self.entry.as_ptr(), Arc::as_ptr(entry)) && self.state == state
    }

    /// The page of a visitor who has no holds and bookings.
    pub(crate) fn for_everyone(&self) -> &Document {
        &self.for_everyone
    }

    /// The page with the holds and bookings of its reader.
    pub(crate) fn with_banner(&self, banner: &Banner) -> String {
        pages::shop::with_banner(&self.html, banner)
    }
}

#[cfg(test)]
mod tests {
    use contract::booking::Venue;
    use http::HeaderValue;
    use http::header::CACHE_CONTROL;

    use super::*;
    use crate::shows::CityInfo;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    fn info(show_no: i32) -> ShowInfo {
        ShowInfo {
            show_no,
            revision: 1,
            show_id: format!("show-{show_no}").parse().unwrap(),
            city: CityInfo {
                city_id: "mumbai".parse().unwrap(),
                name: "Mumbai".to_owned(),
                country: "IN".to_owned(),
                time_zone: "Asia/Kolkata".to_owned(),
            },
            title: "The Eras Tour".to_owned(),
            description: String::new(),
            genre: String::new(),
            language: String::new(),
            cast: Vec::new(),
            venue: Venue {
                name: "DY Patil Stadium".to_owned(),
                address: "Nerul".to_owned(),
                latitude: None,
                longitude: None,
            },
            starts_at: NOW.plus(Duration::from_hours(48)),
            ends_at: NOW.plus(Duration::from_hours(50)),
            sale_opens_at: NOW,
            sale_closes_at: NOW.plus(Duration::from_hours(48)),
            cancelled: false,
            room: Some("eras".parse().unwrap()),
            ticket_limit: 4,
            hold_seconds: 300,
            currency: "INR".to_owned(),
            refund_policy: None,
            categories: Vec::new(),
            fees: Vec::new(),
            taxes: Vec::new(),
            seat_no_first: 1,
            seat_count: 20,
        }
    }

    fn entry(info: ShowInfo) -> Arc<ShowEntry> {
        let figures = SeatFigures {
            version: 20,
            available: 19,
            unsold: 19,
        };
        Arc::new(ShowEntry::new(info, figures))
    }

    fn shown(bytes_max: u64) -> ShowPages {
        let mut headers = HeaderMap::new();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        ShowPages::new(bytes_max, "https://shop.test".to_owned(), headers)
    }

    #[test]
    fn a_page_is_rendered_again_when_it_says_something_else() {
        let (pages, eras) = (shown(1 << 20), entry(info(1)));
        let (queueing, paused) = (Some(Phase::Queueing), Some(Phase::Paused));
        let first = pages.of(&eras, false, queueing, NOW);
        let again = pages.of(&eras, false, queueing, NOW.plus(Duration::from_secs(1)));
        assert!(Arc::ptr_eq(&first, &again));
        let other = pages.of(&eras, false, paused, NOW);
        assert!(other.html.contains("The line is paused"));
        assert!(!first.html.contains("The line is paused"));
        let inside = pages.of(&eras, true, paused, NOW);
        assert!(!inside.html.contains("The line is paused"));
        let over = pages.of(&eras, false, queueing, NOW.plus(Duration::from_hours(48)));
        assert!(over.html.contains("The sale is over"));
        // The same show after an import, of which nothing but the entry tells.
        let dearer = entry(ShowInfo {
            title: "The last night".to_owned(),
            ..info(1)
        });
        let imported = pages.of(&dearer, false, queueing, NOW);
        assert!(imported.html.contains("The last night"));
    }

    #[test]
    fn a_page_is_sent_whole() {
        let pages = shown(1 << 20);
        let page = pages.of(&entry(info(1)), false, None, NOW);
        let response = page.for_everyone().answer(&HeaderMap::new());
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()["content-type"], MEDIA_TYPE);
        assert!(response.headers().get("etag").is_none());
    }

    #[test]
    fn no_more_pages_are_kept_than_there_is_room_for() {
        let bytes = bytes_of_one();
        let pages = shown(3 * bytes);
        let entries: Vec<_> = (1..=20).map(|show_no| entry(info(show_no))).collect();
        for entry in &entries {
            pages.of(entry, false, None, NOW);
            pages.of(entry, false, None, NOW);
        }
        pages.pages.run_pending_tasks();
        assert!(pages.pages.weighted_size() <= 3 * bytes);
    }

    fn bytes_of_one() -> u64 {
        let page = shown(1 << 20).of(&entry(info(1)), false, None, NOW);
        2 * u64::try_from(page.html.len()).unwrap()
    }
}
