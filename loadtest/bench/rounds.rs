//! Rounds in which two sides take turns, and what they come to.

use serde::Serialize;

/// What one side did in one round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sample {
    /// Operations a second.
    pub per_second: f64,
    /// CPU time of the serving processes per operation, in microseconds.
    pub cpu_micros: f64,
}

/// One turn of each side.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    pub ours: Sample,
    pub theirs: Sample,
}

/// Lets both sides take turns. Who goes first changes, so that neither always finds the machine
/// as the other left it.
pub(crate) async fn take_turns(
    count: usize,
    mut ours: impl AsyncFnMut() -> anyhow::Result<Sample>,
    mut theirs: impl AsyncFnMut() -> anyhow::Result<Sample>,
) -> anyhow::Result<Vec<Round>> {
    let mut rounds = Vec::with_capacity(count);
    for number in 0..count {
        let round = if number % 2 == 0 {
            let ours = ours().await?;
            let theirs = theirs().await?;
            Round { ours, theirs }
        } else {
            let theirs = theirs().await?;
            let ours = ours().await?;
            Round { ours, theirs }
        };
        rounds.push(round);
    }
    Ok(rounds)
}

/// The middle of `values`, or the mean of the two middle ones; zero of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match (values.len() % 2, values.get(middle)) {
        (_, None) => 0.0,
        (1, Some(value)) => *value,
        (_, Some(value)) => f64::midpoint(values[middle - 1], *value),
    }
}

#[cfg(test)]
#[expect(clippy::float_cmp, reason = "whole and half numbers are exact")]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
        assert_eq!(median([]), 0.0);
    }

    #[tokio::test]
    async fn the_sides_take_turns_at_going_first() {
        let order = std::cell::RefCell::new(String::new());
        let sample = |who| {
            order.borrow_mut().push(who);
            Ok(Sample {
                per_second: 1.0,
                cpu_micros: 1.0,
            })
        };
        let rounds = take_turns(3, async || sample('o'), async || sample('t'));
        assert_eq!(rounds.await.unwrap().len(), 3);
        assert_eq!(order.into_inner(), "ottoot");
    }
}
