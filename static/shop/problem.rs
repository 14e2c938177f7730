//! Problems of the booking core as pages, with advice.

use contract::{Problem, ProblemCode};
use serde::Serialize;

use crate::engine::render;

/// A problem as a page.
#[derive(Clone, Debug, PartialEq)]
pub struct ProblemPage {
    /// The problem, with its request id.
    pub problem: Problem,
    /// A path of this site with which the visitor goes on, such as the show's page. A page that
    /// reloads itself goes there, so it must accept GET.
    pub back: Option<String>,
}

#[derive(Serialize)]
struct View<'a> {
    problem: &'a Problem,
    heading: &'a str,
    advice: &'static str,
    back: &'a str,
    refresh: Option<u32>,
}

/// An error page. It reloads itself if the problem has `Retry-After`.
pub fn problem(page: &ProblemPage) -> String {
    let problem = &page.problem;
    let heading = match problem.code {
        ProblemCode::NotFound | ProblemCode::RoomNotFound => "There is nothing here",
        ProblemCode::BookingBusy => "Many are booking right now",
        _ => &problem.title,
    };
    render(
        "shop/problem.html",
        &View {
            problem,
            heading,
            advice: advice(problem.code),
            back: page.back.as_deref().unwrap_or("/"),
            refresh: problem.retry_after_seconds,
        },
    )
}

fn advice(code: ProblemCode) -> &'static str {
    match code {
        ProblemCode::NotFound | ProblemCode::RoomNotFound => {
            "The address may be mistyped, or what was here belongs to another browser."
        }
        ProblemCode::PassRequired => "Join the line of this show first; it leads you back here.",
        ProblemCode::HoldExpired => {
            "The seats have gone back to everyone. You can choose again; nothing was charged."
        }
        ProblemCode::SaleNotOpen => "The page of the show says when the sale opens.",
        ProblemCode::TicketLimit => "Choose fewer seats, or give up a hold you already have.",
        ProblemCode::SeatsUnavailable => "Choose other seats, or let us choose the best for you.",
        ProblemCode::PaymentFailed => {
            "Nothing was charged. Try again or with another card while your seats are held."
        }
        ProblemCode::BookingBusy
        | ProblemCode::DatabaseUnavailable
        | ProblemCode::LineUnavailable
        | ProblemCode::PaymentUnavailable
        | ProblemCode::RateLimited
        | ProblemCode::RequestInProgress
        | ProblemCode::RequestTimeout
        | ProblemCode::UpstreamFailed
        | ProblemCode::UpstreamTimeout
        | ProblemCode::UpstreamUnavailable => {
            "Nothing is lost. Wait a moment and try again; this page also does so by itself."
        }
        _ => "Go back and try again. If it stays so, tell us the request number below.",
    }
}
