//! A cache of waiting pages for visitors without a place, by link.
//!
//! Such a page is the same for everyone and the most requested page at an opening, so it is not
//! rendered for each request.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::HeaderMap;
use line::policy::status::RoomView;
use line::room::Room;
use moka::sync::Cache;
use web::encoding::{Document, Effort};

use super::presented;
use crate::edge::presented::Presented;

/// Pages in the cache.
const SHELLS_MAX: u64 = 1_000;
/// Longest link whose page is cached.
const LINK_BYTES_MAX: usize = 1_024;
/// How long a page is cached. It shows the time of day, and its figures change once a second.
const AGE_MAX: Duration = Duration::from_millis(250);

/// The cache. Clones share it.
#[derive(Clone)]
pub struct Shells(Cache<String, Arc<Shell>>);

/// The page of one link.
pub(super) struct Shell {
    room: Arc<Room>,
    /// The view that the page was rendered from; a newer view outdates it.
    view: Arc<RoomView>,
    page: Document,
}

impl Default for Shells {
    fn default() -> Self {
        let pages = Cache::builder().max_capacity(SHELLS_MAX);
        Self(pages.time_to_live(AGE_MAX).build())
    }
}

impl Shells {
    /// The cached page that `link`, a path with its query, has for `visitor`, for a request with
    /// `headers`. `None` for a visitor with a place, whose page is their own.
    pub(super) fn get(
        &self,
        link: &str,
        visitor: &Presented,
        headers: &HeaderMap,
    ) -> Option<Response> {
        let shell = self.0.get(link)?;
        let room = &shell.room;
        let is_sound = Arc::ptr_eq(&shell.view, &room.view())
            && !room.stop.is_cancelled()
            && !room.is_idle()
            && !presented::shows_place(room, visitor);
        is_sound.then(|| shell.answer(headers))
    }

    /// Caches the page of `link`.
    pub(super) fn keep(&self, link: &str, shell: Arc<Shell>) {
        if link.len() <= LINK_BYTES_MAX {
            self.0.insert(link.to_owned(), shell);
        }
    }
}

impl Shell {
    /// The page `html` of `room`, rendered from `view` and sent with `headers`.
    pub(super) fn new(
        room: Arc<Room>,
        view: Arc<RoomView>,
        headers: HeaderMap,
        html: String,
    ) -> Self {
        let page = Document::of(html, "text/html; charset=utf-8", Effort::Quick);
        Self {
            room,
            view,
            page: page.with_headers(headers),
        }
    }

    /// The response to a request with the headers `asked`.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        self.page.answer(asked)
    }
}
