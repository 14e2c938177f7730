//! What people see while a run lasts: a bar on a terminal, a line now and then elsewhere.

use std::sync::atomic::Ordering;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio_util::sync::CancellationToken;

use crate::world::Tally;

/// Time between updates of the bar.
const BAR_PERIOD: Duration = Duration::from_millis(500);
/// Time between lines where there is no terminal.
pub(crate) const LINE_PERIOD: Duration = Duration::from_secs(10);

/// The bar of one run.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for `fans` fans.
    pub(crate) fn new(fans: u64) -> Self {
        let bar = ProgressBar::new(fans);
        let template = "{prefix:>8} {elapsed_precise} [{bar:30}] {pos}/{len}  {msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    /// Names the phase of the run.
    pub(crate) fn phase(&self, name: &'static str) {
        self.bar.set_prefix(name);
        if self.bar.is_hidden() {
            tracing::info!("{name}");
        }
    }

    /// Shows the counts until stopped.
    pub(crate) async fn run(&self, tally: &Tally, stop: &CancellationToken) {
        let period = if self.bar.is_hidden() {
            LINE_PERIOD
        } else {
            BAR_PERIOD
        };
        loop {
            tokio::select! {
                () = tokio::time::sleep(period) => self.show(tally),
                () = stop.cancelled() => return,
            }
        }
    }

    fn show(&self, tally: &Tally) {
        if self.bar.is_hidden() {
            tracing::info!("{}", tally.line());
        } else {
            self.bar.set_position(tally.done.load(Ordering::Relaxed));
            self.bar.set_message(tally.line());
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
