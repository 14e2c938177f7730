//! What is read and kept of many customers together.
//!
//! Each of a batch that failed is read or kept alone, so that one that cannot be fails no other.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::config::{CONFIRM_BATCH_MAX, CONFIRM_BATCHES_AT_ONCE};
use crate::database::{StoreError, Turns, Work};
use crate::gather::{Bounds, Gather, fail_all};
use crate::store::holds::{self, HoldRow};
use crate::store::risk::{self, Asked, History, Instrument, InstrumentUse, NewTries};

const BOUNDS: Bounds = Bounds {
    at_once: CONFIRM_BATCHES_AT_ONCE,
    size_max: CONFIRM_BATCH_MAX,
};

/// One statement for many asks: an answer for each, in their order.
type Statement<I, O> =
    for<'a> fn(&'a mut PgConnection, &'a [I]) -> BoxFuture<'a, Result<Vec<O>, StoreError>>;

/// What is read and kept of many customers together.
pub(crate) struct GatheredVetting {
    pub(super) holds: Gather<Uuid, Option<HoldRow>>,
    pub(super) histories: Gather<Asked, History>,
    pub(super) tries: Gather<NewTries, ()>,
    pub(super) instruments: Gather<Instrument, InstrumentUse>,
}

impl GatheredVetting {
    /// Over the connections of `settling`.
    pub(crate) fn new(work: &Work, settling: &Turns) -> Self {
        Self {
            holds: gather(work, settling, |it, ids| holds::find_all(it, ids).boxed()),
            histories: gather(work, settling, |it, asked| {
                risk::histories(it, asked).boxed()
            }),
            tries: gather(work, settling, |it, new| {
                let kept = async move {
                    risk::tries_keep(it, new).await?;
                    Ok(vec![(); new.len()])
                };
                kept.boxed()
            }),
            instruments: gather(work, settling, |it, asked| {
                risk::of_instruments(it, asked).boxed()
            }),
        }
    }
}

fn gather<I, O>(work: &Work, settling: &Turns, statement: Statement<I, O>) -> Gather<I, O>
where
    I: Send + Sync + 'static,
    O: Send + 'static,
{
    let settling = settling.clone();
    Gather::new(work, BOUNDS, move |asks: Vec<I>| {
        let (settling, asks) = (settling.clone(), Arc::new(asks));
        async move {
            let all = run(&settling, &asks, statement).await;
            let cause = match all {
                Ok(answers) => return answers.into_iter().map(Ok).collect(),
                Err(cause) => cause,
            };
            if asks.len() == 1 || matches!(cause, StoreError::Unavailable(_) | StoreError::Timeout)
            {
                return fail_all(asks.len(), &cause);
            }
            let mut answers = Vec::with_capacity(asks.len());
            for ask in asks.iter() {
                let alone = run(&settling, std::slice::from_ref(ask), statement).await;
                let none = || StoreError::corrupt("holds", "an ask without an answer");
                answers.push(alone.and_then(|mut of_one| of_one.pop().ok_or_else(none)));
            }
            answers
        }
        .boxed()
    })
}

async fn run<I, O>(
    settling: &Turns,
    asks: &[I],
    statement: Statement<I, O>,
) -> Result<Vec<O>, StoreError> {
    let (mut connection, _turn) = settling.acquire().await?;
    let answers = statement(&mut connection, asks).await?;
    if answers.len() == asks.len() {
        return Ok(answers);
    }
    Err(StoreError::corrupt("holds", "asks without an answer"))
}
