//! The gateway's problem documents as pages for people, with a link to go on.

use contract::{Problem, ProblemCode};
use serde::Serialize;

use crate::engine::render;

/// Limits of the pause before the page reloads by itself, in seconds.
const REFRESH_SECONDS_MIN: u32 = 5;
const REFRESH_SECONDS_MAX: u32 = 120;

/// A problem of the gateway as a page.
#[derive(Clone, Debug, PartialEq)]
pub struct GateProblemPage {
    /// The problem, with its request id.
    pub problem: Problem,
    /// The link to go on.
    pub way_on: WayOn,
    /// Whether the request had a body that may have arrived, such as a form.
    pub has_sent: bool,
}

/// The link with which a visitor goes on from a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WayOn {
    /// The same page again: a path of this site that can be requested with GET.
    Again(String),
    /// The waiting page at this path.
    Line(String),
    /// The page at this path, from which the form was sent.
    Back(String),
    /// The front page.
    Home,
}

#[derive(Serialize)]
struct View<'a> {
    problem: &'a Problem,
    heading: &'a str,
    advice: &'static str,
    href: &'a str,
    label: &'static str,
    refresh: Option<u32>,
}

/// The page. It reloads itself if the problem has `Retry-After` and the page may be requested with
/// GET.
pub fn problem(page: &GateProblemPage) -> String {
    let problem = &page.problem;
    let (href, label) = match &page.way_on {
        WayOn::Again(path) => (path.as_str(), "Try again"),
        WayOn::Line(path) => (path.as_str(), "To the line"),
        WayOn::Back(path) => (path.as_str(), "Go back"),
        WayOn::Home => ("/", "To the front page"),
    };
    let is_repeatable = matches!(page.way_on, WayOn::Again(_));
    let refresh = problem
        .retry_after_seconds
        .filter(|_| is_repeatable)
        .map(|seconds| seconds.clamp(REFRESH_SECONDS_MIN, REFRESH_SECONDS_MAX));
    render(
        "problem.html",
        &View {
            problem,
            heading: heading(problem),
            advice: advice(page, refresh.is_some()),
            href,
            label,
            refresh,
        },
    )
}

fn heading(problem: &Problem) -> &str {
    match problem.code {
        ProblemCode::NotFound | ProblemCode::RoomNotFound => "There is nothing here",
        ProblemCode::AmbiguousPath | ProblemCode::BadRequest => "This address does not work",
        ProblemCode::UpstreamFailed
        | ProblemCode::UpstreamTimeout
        | ProblemCode::UpstreamUnavailable => "The shop does not answer at the moment",
        ProblemCode::RateLimited => "That was a bit too fast",
        _ => &problem.title,
    }
}

fn advice(page: &GateProblemPage, refreshes: bool) -> &'static str {
    match page.problem.code {
        ProblemCode::UpstreamFailed
        | ProblemCode::UpstreamTimeout
        | ProblemCode::UpstreamUnavailable
            if page.has_sent =>
        {
            "What you sent may or may not have arrived. Look before you send it again. \
             Your visit goes on."
        }
        _ if refreshes => {
            "Nothing is lost. Wait a moment and try again; this page also does so by itself."
        }
        ProblemCode::NotFound
        | ProblemCode::RoomNotFound
        | ProblemCode::AmbiguousPath
        | ProblemCode::BadRequest => "The address may be mistyped, or the link may be damaged.",
        ProblemCode::PassRequired => "Join the line first; it leads you back here.",
        ProblemCode::RoomClosed => "Nobody is let in here any more.",
        ProblemCode::PayloadTooLarge => "Send less at once, such as a smaller file.",
        _ => "Go back and try again. If it stays so, tell us the request number below.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(code: ProblemCode, way_on: WayOn, has_sent: bool) -> String {
        problem(&GateProblemPage {
            problem: Problem::new(code).detail("<b>detail</b>").retry_after(2),
            way_on,
            has_sent,
        })
    }

    #[test]
    fn every_problem_has_a_page_with_a_way_on() {
        for code in ProblemCode::ALL {
            for (way_on, href) in [
                (WayOn::Again("/a?b=c".to_owned()), "/a?b=c"),
                (WayOn::Line("/_line/rooms/x".to_owned()), "/_line/rooms/x"),
                (WayOn::Back("/b".to_owned()), "/b"),
                (WayOn::Home, "/"),
            ] {
                let html = page(*code, way_on, false).replace("&#x2f;", "/");
                assert!(
                    html.contains(&format!("href=\"{href}\"")),
                    "{code:?} {html}"
                );
                assert!(html.contains("&lt;b&gt;detail"), "{html}");
            }
        }
    }

    #[test]
    fn only_what_may_be_fetched_again_tries_again_by_itself() {
        let code = ProblemCode::UpstreamUnavailable;
        assert!(
            page(code, WayOn::Again("/a".to_owned()), false).contains("http-equiv=\"refresh\"")
        );
        let sent = page(code, WayOn::Back("/a".to_owned()), true);
        assert!(!sent.contains("http-equiv"));
        assert!(sent.contains("Look before you send it again"));
    }
}
