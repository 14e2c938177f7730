//! What many starts of payments write together.
//!
//! Each of a batch that failed is written alone, so that one that cannot be written fails no other.

use futures_util::FutureExt;

use super::gathered::{BOUNDS, or_alone};
use crate::database::{Turns, Work, repeat_if_contended};
use crate::gather::Gather;
use crate::store::payment_batch::{AttemptAsk, MadeAsk, begin_batch, made_batch};
use crate::store::payments::PaymentRow;

/// What many starts of payments write together.
pub(crate) struct GatheredStarts {
    /// Before the provider is asked: the attempt.
    pub(super) begun: Gather<AttemptAsk, Option<PaymentRow>>,
    /// Afterwards: what the provider made.
    pub(super) made: Gather<MadeAsk, Option<PaymentRow>>,
}

impl GatheredStarts {
    /// Starts over the connections of `settling`.
    pub(crate) fn new(work: &Work, settling: &Turns) -> Self {
        let (beginning, making) = (settling.clone(), settling.clone());
        Self {
            begun: Gather::new(work, BOUNDS, move |asks| {
                let settling = beginning.clone();
                async move {
                    let begin = || async {
                        let (mut connection, _turn) = settling.acquire().await?;
                        begin_batch(&mut connection, &asks).await
                    };
                    let answers = repeat_if_contended(begin).await;
                    or_alone(asks.len(), answers, "attempts to pay")
                }
                .boxed()
            }),
            made: Gather::new(work, BOUNDS, move |asks| {
                let settling = making.clone();
                async move {
                    let keep = || async {
                        let (mut connection, _turn) = settling.acquire().await?;
                        made_batch(&mut connection, &asks).await
                    };
                    let made = repeat_if_contended(keep).await;
                    or_alone(asks.len(), made, "intents")
                }
                .boxed()
            }),
        }
    }
}
