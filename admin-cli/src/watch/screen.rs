//! Drawing the live view.

use std::time::Duration;

use contract::line::{EstimateAccuracy, Phase};
use contract::room::{LimitedBy, RoomStats};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Gauge, Paragraph, Sparkline};

use super::model::WatchModel;
use crate::console::grouped;
use crate::room::idle::PASS_THROUGH;
use crate::room::tables::wire_word;
use crate::when::{instant_text, span_text};

/// What a room in stand-by does while nobody waits.
const STRAIGHT_IN: &str = "visitors go straight in";

/// Width of the column of names.
const NAME_WIDTH: usize = 16;

/// How the view looks.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    colour: bool,
}

impl Palette {
    /// With colours, or without.
    pub fn new(colour: bool) -> Self {
        Self { colour }
    }

    fn fg(self, colour: Color) -> Style {
        if self.colour {
            Style::new().fg(colour)
        } else {
            Style::new()
        }
    }

    fn warning(self) -> Style {
        self.fg(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn phase(self, phase: Phase) -> Style {
        let colour = match phase {
            Phase::Idle => Color::Gray,
            Phase::Prequeue => Color::Cyan,
            Phase::Queueing => Color::Green,
            Phase::Paused => Color::Yellow,
            Phase::Closed => Color::Red,
        };
        self.fg(colour).add_modifier(Modifier::BOLD)
    }
}

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, model: &WatchModel, palette: Palette) {
    let areas = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(10),
        Constraint::Length(3),
        Constraint::Min(3),
        Constraint::Min(3),
        Constraint::Length(1),
    ]);
    let [title, numbers, gauge, line, calls, foot] = areas.areas(frame.area());
    frame.render_widget(title_line(model, palette), title);
    frame.render_widget(foot_line(model, palette), foot);
    let Some(stats) = model.stats() else {
        let text = model.stale().unwrap_or("Waiting for the first numbers.");
        frame.render_widget(Paragraph::new(text.to_owned()), numbers);
        return;
    };
    let [left, right] =
        Layout::horizontal([Constraint::Percentage(50), Constraint::Percentage(50)]).areas(numbers);
    frame.render_widget(Paragraph::new(line_figures(stats)), left);
    frame.render_widget(Paragraph::new(flow_figures(stats)), right);
    frame.render_widget(cap_gauge(stats, palette), gauge);
    let longest = model.line_history().max().unwrap_or(0);
    let title = format!(" in line, most {} ", grouped(longest));
    draw_history(
        frame,
        line,
        title,
        model.line_history(),
        palette.fg(Color::Cyan),
    );
    let fastest = model.calls_history().max().unwrap_or(0);
    let title = format!(" calls/s, most {}.{} ", fastest / 10, fastest % 10);
    draw_history(
        frame,
        calls,
        title,
        model.calls_history(),
        palette.fg(Color::Green),
    );
}

fn title_line(model: &WatchModel, palette: Palette) -> Line<'static> {
    let mut spans = vec![Span::raw(format!("Room {}  ", model.room()))];
    if let Some(stats) = model.stats() {
        let phase = wire_word(&stats.phase);
        let phase = match stats.phase {
            Phase::Idle => format!("{phase}: {PASS_THROUGH}"),
            Phase::Queueing if stats.standby => format!("{phase}: {STRAIGHT_IN}"),
            _ => phase,
        };
        spans.push(Span::styled(phase, palette.phase(stats.phase)));
        spans.push(Span::raw(format!(
            "  as of {}",
            instant_text(stats.updated_at)
        )));
    }
    if let Some(why) = model.stale() {
        spans.push(Span::styled(format!("  STALE: {why}"), palette.warning()));
    }
    Line::from(spans)
}

fn foot_line(model: &WatchModel, palette: Palette) -> Line<'static> {
    match model.prompt() {
        Some(prompt) => Line::styled(prompt, palette.warning()),
        None => Line::raw("q quit   p pause/resume   + faster by 10 %   - slower by 10 %"),
    }
}

fn figure(name: &str, value: impl std::fmt::Display) -> Line<'static> {
    Line::raw(format!("{name:<NAME_WIDTH$}{value}"))
}

fn line_figures(stats: &RoomStats) -> Vec<Line<'static>> {
    vec![
        figure("in line", grouped(stats.in_line)),
        figure("  absent", grouped(stats.absent)),
        figure("called", grouped(stats.called)),
        figure("active", grouped(stats.active)),
        figure("expected wait", expected_wait_text(stats)),
        figure("actual wait", wait_text(stats.actual_wait_seconds)),
        figure("estimates", accuracy_text(stats.estimate_accuracy)),
        figure("sockets", grouped(stats.sockets)),
        figure("straight in", grouped(stats.straight_in_total)),
        figure("passed through", grouped(stats.passed_through_passes)),
    ]
}

fn flow_figures(stats: &RoomStats) -> Vec<Line<'static>> {
    let configured = rate_per_second(stats);
    let calls = format!("{:.1} of {configured:.1}", stats.calls_per_second);
    let limit = stats.limited_by.map_or("unknown", limit_text);
    vec![
        figure("joins/s", format!("{:.1}", stats.joins_per_second)),
        figure("calls/s", calls),
        figure("why no more", limit),
        figure("claims/s", format!("{:.1}", stats.claims_per_second)),
        figure("entries/min", grouped(stats.entries_per_minute)),
        figure("shows", show_text(stats.show_share)),
        figure("rate/min", rate_text(stats)),
        figure("joins", grouped(stats.joins_total)),
        figure("calls", grouped(stats.calls_total)),
    ]
}

fn cap_gauge(stats: &RoomStats, palette: Palette) -> Gauge<'static> {
    let inside = stats.active.saturating_add(stats.called);
    let ratio = ratio(inside, stats.total_active_users);
    let colour = if ratio < 0.9 {
        Color::Green
    } else {
        Color::Yellow
    };
    let label = format!(
        "{} of {}",
        grouped(inside),
        grouped(stats.total_active_users)
    );
    Gauge::default()
        .block(Block::bordered().title(" active and called, of the cap "))
        .gauge_style(palette.fg(colour))
        .ratio(ratio)
        .label(label)
}

fn draw_history(
    frame: &mut Frame<'_>,
    area: Rect,
    title: String,
    samples: impl DoubleEndedIterator<Item = u64>,
    style: Style,
) {
    let block = Block::bordered().title(title);
    let width = usize::from(block.inner(area).width);
    // The newest samples, newest at the right edge.
    let mut shown: Vec<u64> = samples.rev().take(width).collect();
    shown.reverse();
    let sparkline = Sparkline::default().block(block).style(style).data(shown);
    frame.render_widget(sparkline, area);
}

/// What holds the calls to what they are, in a few words.
pub(super) const fn limit_text(why: LimitedBy) -> &'static str {
    match why {
        LimitedBy::Phase => "the phase",
        LimitedBy::Line => "nobody waits",
        LimitedBy::Rate => "the rate",
        LimitedBy::Database => "PostgreSQL is slow",
        LimitedBy::Latency => "Redis is slow, or CPU",
        LimitedBy::Cap => "the cap",
        LimitedBy::Stock => "nothing left to sell",
        LimitedBy::Upstream => "the shop is failing",
        LimitedBy::Rebuilt => "fans are coming back",
    }
}

/// The configured rate in calls per minute, and how many are called at a time.
fn rate_text(stats: &RoomStats) -> String {
    let rate = grouped(stats.new_users_per_minute);
    match stats.call_batch {
        Some(batch) => format!("{rate}, {} at a time", grouped(batch)),
        None => rate,
    }
}

/// The configured rate in calls per second.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(super) fn rate_per_second(stats: &RoomStats) -> f64 {
    stats.new_users_per_minute as f64 / 60.0
}

#[expect(clippy::cast_precision_loss, reason = "drawn with a few dozen columns")]
fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        (part as f64 / whole as f64).min(1.0)
    }
}

/// The share of fans who show when called, which may be unknown.
pub(super) fn show_text(share: Option<f64>) -> String {
    share.map_or_else(
        || "unknown".to_owned(),
        |share| format!("{:.1} %", share * 100.0),
    )
}

/// How good the estimates were: the median error, and the share of the waits within the p90.
fn accuracy_text(accuracy: Option<EstimateAccuracy>) -> String {
    accuracy.map_or_else(
        || "unknown".to_owned(),
        |accuracy| {
            let (error, within) = (accuracy.median_error * 100.0, accuracy.within_p90 * 100.0);
            format!("off by {error:.0} %, {within:.0} % within p90")
        },
    )
}

/// The expected wait. The gateway estimates it for whoever joins next, which says nothing to those
/// who look at an empty line.
pub(super) fn expected_wait_text(stats: &RoomStats) -> String {
    if stats.in_line == 0 {
        "nobody waits".to_owned()
    } else {
        wait_text(stats.expected_wait_seconds)
    }
}

/// A wait, which may be unknown.
fn wait_text(seconds: Option<u32>) -> String {
    seconds.map_or_else(
        || "unknown".to_owned(),
        |seconds| span_text(Duration::from_secs(u64::from(seconds))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::model::Key;
    use crate::watch::model::tests::stats;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(model: &WatchModel, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal
            .draw(|frame| draw(frame, model, Palette::new(true)))
            .unwrap();
        let buffer = terminal.backend().buffer();
        let rows = buffer.content().chunks(usize::from(width));
        rows.map(|row| {
            row.iter()
                .map(ratatui::buffer::Cell::symbol)
                .collect::<String>()
                + "\n"
        })
        .collect()
    }

    fn model() -> WatchModel {
        let mut model = WatchModel::new("eras".parse().unwrap());
        model.take_stats(stats("queueing", 48_211, 1200));
        model
    }

    #[test]
    fn the_screen_has_every_figure() {
        let text = screen(&model(), 80, 24);
        for shown in [
            "Room eras  queueing  as of 2026-11-22 10:00:00 UTC",
            "in line         48,211",
            "  absent        12",
            "called          30",
            "active          450",
            "calls/s         19.9 of 20.0",
            "why no more     PostgreSQL is slow",
            "joins/s         55.",
            "claims/s        18.0",
            "entries/min     1,080",
            "shows           97.5 %",
            "expected wait   12 min 30 s",
            "actual wait     unknown",
            "straight in     1,250",
            "passed through  17",
            "480 of 500",
            "in line, most 48,211",
            "calls/s, most 19.9",
            "q quit",
        ] {
            assert!(text.contains(shown), "{shown:?} is not in\n{text}");
        }
        assert!(!text.contains("STALE"), "{text}");
    }

    #[test]
    fn an_empty_line_has_no_wait_and_an_idle_room_holds_nobody_up() {
        let mut model = WatchModel::new("eras".parse().unwrap());
        model.take_stats(stats("idle", 0, 1200));
        let text = screen(&model, 80, 24);
        for shown in [
            "Room eras  idle: everyone passes through  as of 2026-11-22 10:00:00 UTC",
            "expected wait   nobody waits",
        ] {
            assert!(text.contains(shown), "{shown:?} is not in\n{text}");
        }
    }

    #[test]
    fn a_room_in_stand_by_says_so() {
        let mut model = WatchModel::new("eras".parse().unwrap());
        let mut stats = stats("queueing", 0, 1200);
        stats.standby = true;
        model.take_stats(stats);
        let text = screen(&model, 80, 24);
        assert!(text.contains("queueing: visitors go straight in"), "{text}");
    }

    #[test]
    fn stale_numbers_stay_and_say_so() {
        let mut model = model();
        model.lose_contact("connection refused");
        let text = screen(&model, 100, 24);
        assert!(
            text.contains("STALE: connection refused") && text.contains("48,211"),
            "{text}"
        );
    }

    #[test]
    fn a_question_takes_the_place_of_the_keys() {
        let mut model = model();
        model.press(Key::Faster);
        let text = screen(&model, 80, 24);
        assert!(
            text.contains("Change the rate from 1200 to 1320 a minute? y/n"),
            "{text}"
        );
        assert!(!text.contains("q quit"), "{text}");
    }

    #[test]
    fn the_newest_sample_is_at_the_right_edge() {
        let mut model = WatchModel::new("eras".parse().unwrap());
        for length in [0; 100].into_iter().chain([800]) {
            model.take_stats(stats("queueing", length, 1200));
        }
        let text = screen(&model, 40, 24);
        let top = text
            .lines()
            .position(|line| line.contains("in line, most"))
            .unwrap();
        let bar = text.lines().nth(top + 1).unwrap();
        assert!(bar.ends_with("█│"), "{text}");
        assert_eq!(bar.matches('█').count(), 1, "{text}");
    }

    #[test]
    fn a_tiny_terminal_and_no_numbers_are_drawn_without_a_panic() {
        for (width, height) in [(1, 1), (10, 3), (20, 10)] {
            screen(&model(), width, height);
        }
        let empty = WatchModel::new("eras".parse().unwrap());
        assert!(screen(&empty, 80, 24).contains("Waiting for the first numbers."));
    }

    #[test]
    fn without_colour_no_cell_has_one() {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal
            .draw(|frame| draw(frame, &model(), Palette::new(false)))
            .unwrap();
        let cells = terminal.backend().buffer().content();
        assert!(
            cells
                .iter()
                .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
        );
    }
}
