//! Issues challenges and takes their solutions, each once.

use web::challenge::{About, Issued};

use crate::core::Core;
use crate::database::StoreError;
use crate::store;
use crate::telemetry;

impl Core {
    /// A new challenge for `about`.
    pub(crate) fn challenge_issue(&self, about: About<'_>) -> Issued {
        let effort = self.config.fraud.limits.challenge_effort;
        let (now, random) = (self.clock.now(), self.randomness.bytes());
        count("issued");
        self.challenge.issue(about, effort, now, random)
    }

    /// Whether `solution` solves a challenge that was issued for `about`. It is used up.
    pub(crate) async fn challenge_solved(
        &self,
        about: About<'_>,
        solution: &str,
    ) -> Result<bool, StoreError> {
        let verified = match self.challenge.verify(about, solution, self.clock.now()) {
            Ok(verified) => verified,
            Err(refusal) => {
                tracing::debug!(?refusal, "a solution is not taken");
                count("refused");
                return Ok(false);
            }
        };
        let (pool, until) = (&self.pools.money, verified.expires_at);
        let first = store::risk::solution_use(pool, &verified.id, until).await?;
        count(if first { "solved" } else { "replayed" });
        Ok(first)
    }
}

fn count(outcome: &'static str) {
    metrics::counter!(telemetry::CHALLENGES, "outcome" => outcome).increment(1);
}
