//! Waiting pages of visitors without a place, kept for the next who follows the same link.
//!
//! Such a page is the same for everyone, and at an opening it is asked for more often than
//! anything else, so it is not rendered for each.

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

/// Pages that are kept.
const SHELLS_MAX: u64 = 1_000;
/// The longest link that a page is kept for.
const LINK_BYTES_MAX: usize = 1_024;
/// How long a page is kept. It tells the time, and its numbers change once a second.
const AGE_MAX: Duration = Duration::from_millis(250);

/// The pages. Clones share them.
#[derive(Clone)]
pub struct Shells(Cache<String, Arc<Shell>>);

/// The page that a link leads to.
pub(super) struct Shell {
    room: Arc<Room>,
    /// What it was made of.
    view: Arc<RoomView>,
    headers: HeaderMap,
    page: Document,
}

impl Default for Shells {
    fn default() -> Self {
        let pages = Cache::builder().max_capacity(SHELLS_MAX);
        Self(pages.time_to_live(AGE_MAX).build())
    }
}

impl Shells {
    /// The page that `link`, a path with its query, leads `visitor` to, if it is at hand, for a
    /// request with `headers`. Who has a place gets a page of their own.
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

    /// Keeps the page that `link` leads to.
    pub(super) fn keep(&self, link: &str, shell: Arc<Shell>) {
        if link.len() <= LINK_BYTES_MAX {
            self.0.insert(link.to_owned(), shell);
        }
    }
}

impl Shell {
    /// The page `html` of `room`, made of `view` and sent with `headers`.
    pub(super) fn new(
        room: Arc<Room>,
        view: Arc<RoomView>,
        headers: HeaderMap,
        html: String,
    ) -> Self {
        Self {
            room,
            view,
            headers,
            page: Document::of(html, "text/html; charset=utf-8", Effort::Quick),
        }
    }

    /// The answer to a request with `asked`.
    pub(super) fn answer(&self, asked: &HeaderMap) -> Response {
        let mut response = self.page.answer(asked);
        for (name, value) in &self.headers {
            // What decides about the coding is named beside what decides about the page.
            response.headers_mut().append(name, value.clone());
        }
        response
    }
}
