//! Looks again at what a provider made, long after the first look.
//!
//! A bank may agree days after its payment was closed, a refund may fail after its success, and a
//! dispute may take money months after it was opened. Webhooks tell of it; this finds it when they
//! are lost. Each listing is gone through in rounds, oldest first, a bounded number of pages at a
//! time. How far a round has come is stored after every page, so that another process goes on there.

use std::time::Duration;

use contract::Timestamp;

use super::lane::Lane;
use super::provider::ProviderRefundStatus;
use super::provider::{Listed, PaymentProvider, ProviderDispute, ProviderError, ProviderRefund};
use super::putting_off::{PASSES_BEFORE_PUT_OFF, count, told_unless_stopped, unless_put_off};
use super::reconcile_report::{ReconcileError, ReconcileReport};
use crate::config::{
    RECONCILE_AGAIN_DISPUTES, RECONCILE_AGAIN_EVERY, RECONCILE_AGAIN_MONEY,
    RECONCILE_AGAIN_PAGES_MAX, RECONCILE_SETTLED_AFTER,
};
use crate::core::Core;
use crate::database::StoreError;
use crate::money::RefundStatus;
use crate::store;
use crate::store::reconciliation::{Listing, Round};
use crate::store::returned::Entered;

/// Creation times that are listed together, of payments and refunds. Bounds how far a provider has
/// to count for a page.
const SPAN_MONEY: Duration = Duration::from_hours(24);
/// The same of disputes, which are few.
const SPAN_DISPUTES: Duration = Duration::from_hours(24 * 30);

/// How far back a round goes, and the span that is listed at once.
fn reach(listing: Listing) -> (Duration, Duration) {
    match listing {
        Listing::Intents | Listing::Refunds => (RECONCILE_AGAIN_MONEY, SPAN_MONEY),
        Listing::Disputes => (RECONCILE_AGAIN_DISPUTES, SPAN_DISPUTES),
    }
}

/// Where the round goes on, or begins; `None` while it is not time for one. Pure.
fn due(kept: Option<Round>, listing: Listing, now: Timestamp) -> Option<Round> {
    match kept {
        Some(round) if round.next_at.is_none() => Some(round),
        Some(round) if round.next_at.is_some_and(|next| next > now) => None,
        _ => Some(Round {
            from: now.minus(reach(listing).0),
            page: None,
            next_at: None,
            failures: 0,
        }),
    }
}

/// Where the round is after a page of the span up to `until`. Pure.
fn after(mut round: Round, until: Timestamp, next: Option<String>) -> Round {
    if next.is_none() {
        round.from = until;
        round.failures = 0;
    }
    round.page = next;
    round
}

/// Where the round is after the provider did not tell of a page of the span up to `until`. Pure.
///
/// A page that is refused is not asked for again: the span begins anew. A span that keeps being
/// refused is left to the next round.
fn after_failure(mut round: Round, until: Timestamp, error: &ProviderError) -> Round {
    round.failures = round.failures.saturating_add(1);
    if let ProviderError::Refused { .. } = error {
        round.page = None;
        if round.failures > PASSES_BEFORE_PUT_OFF {
            return after(round, until, None);
        }
    }
    round
}

impl Core {
    /// Goes on with the rounds of one provider, a bounded number of pages of each listing.
    pub(super) async fn look_again(&self, lane: &Lane) -> Result<(), StoreError> {
        let mut failed = None;
        for listing in Listing::ALL {
            // What one listing does not tell keeps nobody from the others.
            let looked = self.look_again_at(lane, listing).await;
            if let Err(error) = told_unless_stopped(lane.name(), Some(listing), looked) {
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    async fn look_again_at(&self, lane: &Lane, listing: Listing) -> Result<(), ReconcileError> {
        let (pool, provider) = (&self.pools.jobs, lane.name());
        let now = self.clock.now();
        // What is younger has not had its first look.
        let end = now.minus(RECONCILE_SETTLED_AFTER);
        let kept = store::reconciliation::round(pool, provider, listing).await?;
        let Some(mut round) = due(kept, listing, now) else {
            return Ok(());
        };
        for _ in 0..RECONCILE_AGAIN_PAGES_MAX {
            if round.from >= end || self.shutdown.is_cancelled() {
                break;
            }
            let until = end.min(round.from.plus(reach(listing).1));
            let mut listed = Listed::new(round.from, until);
            listed.after = round.page.clone();
            let passes_over = round.failures >= PASSES_BEFORE_PUT_OFF;
            match self.look_at_page(lane, listing, listed, passes_over).await {
                Ok(next) => {
                    round = after(round, until, next);
                    store::reconciliation::keep_round(pool, provider, listing, &round).await?;
                }
                Err(ReconcileError::Provider(error)) => {
                    let failed = after_failure(round, until, &error);
                    store::reconciliation::keep_round(pool, provider, listing, &failed).await?;
                    if failed.from < until {
                        return Err(error.into());
                    }
                    count("passed-over", 1);
                    tracing::error!(
                        %error,
                        provider,
                        ?listing,
                        %until,
                        "the provider keeps refusing a part of a listing: it is left to the next round"
                    );
                    round = failed;
                }
                Err(error) => return Err(error),
            }
        }
        if round.from >= end {
            round.next_at = Some(now.plus(RECONCILE_AGAIN_EVERY));
            store::reconciliation::keep_round(pool, provider, listing, &round).await?;
        }
        Ok(())
    }

    /// Compares a page with our books. Returns where the next one begins.
    async fn look_at_page(
        &self,
        lane: &Lane,
        listing: Listing,
        listed: Listed,
        passes_over: bool,
    ) -> Result<Option<String>, ReconcileError> {
        let mut report = ReconcileReport::new(listed.from, listed.until);
        report.passes_over = passes_over;
        match listing {
            Listing::Intents => {
                let page = lane.intents(listed).await?;
                self.reconcile_intents(lane, page.items, &mut report)
                    .await?;
                Ok(page.next)
            }
            Listing::Refunds => {
                let page = lane.refunds(listed).await?;
                let ids: Vec<String> = page.items.iter().map(|it| it.id.clone()).collect();
                let entered = store::returned::entered(&self.pools.jobs, &ids).await?;
                for refund in page.items.iter().filter(|it| is_news(it, &entered)) {
                    let looked = self.reconcile_refund(lane, refund, &mut report).await;
                    unless_put_off(&mut report, &refund.id, looked)?;
                }
                Ok(page.next)
            }
            Listing::Disputes => {
                let page = lane.disputes(listed).await?;
                let ids: Vec<String> = page.items.iter().map(|it| it.id.clone()).collect();
                let entered = store::returned::entered(&self.pools.jobs, &ids).await?;
                for dispute in page.items.iter().filter(|it| moves_money(it, &entered)) {
                    let of = dispute.intent_id.as_deref();
                    let looked = self.reconcile_returned(lane, of, &mut report).await;
                    unless_put_off(&mut report, &dispute.id, looked)?;
                }
                Ok(page.next)
            }
        }
    }
}

/// Whether a refund is not in the books as it is. Pure.
fn is_news(refund: &ProviderRefund, entered: &[Entered]) -> bool {
    let gone = refund.status != ProviderRefundStatus::Failed;
    match entered.iter().find(|it| it.provider_refund_id == refund.id) {
        // One of ours may be under way: its own comparison knows.
        Some(known) if known.is_ours => true,
        Some(known) => (known.status == RefundStatus::Succeeded) != gone,
        None => gone,
    }
}

/// Whether a dispute took or returned money that the books do not have so. Pure.
fn moves_money(dispute: &ProviderDispute, entered: &[Entered]) -> bool {
    match entered
        .iter()
        .find(|it| it.provider_refund_id == dispute.id)
    {
        Some(known) => (known.status == RefundStatus::Succeeded) != dispute.taken,
        None => dispute.taken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::FailureReason;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

    #[test]
    fn a_round_goes_on_where_it_stopped_and_the_next_begins_at_its_time() {
        let listing = Listing::Intents;
        let begun = due(None, listing, NOW).unwrap();
        assert_eq!(begun.from, NOW.minus(RECONCILE_AGAIN_MONEY));
        let until = begun.from.plus(SPAN_MONEY);
        let paged = after(begun.clone(), until, Some("100".to_owned()));
        assert_eq!(
            (paged.from, paged.page.as_deref()),
            (begun.from, Some("100"))
        );
        assert_eq!(due(Some(paged.clone()), listing, NOW), Some(paged.clone()));
        let moved = after(paged, until, None);
        assert_eq!((moved.from, moved.page.as_deref()), (until, None));
        let ended = |next_at| Round {
            next_at: Some(next_at),
            ..moved.clone()
        };
        let later = NOW.plus(Duration::from_secs(1));
        assert_eq!(due(Some(ended(later)), listing, NOW), None);
        assert_eq!(due(Some(ended(NOW)), listing, NOW), Some(begun));
    }

    #[test]
    fn a_refused_page_is_dropped_and_a_span_that_keeps_being_refused_is_left() {
        let (from, until) = (NOW, NOW.plus(SPAN_MONEY));
        let silent = ProviderError::Unavailable("503".to_owned());
        let refused = ProviderError::Refused {
            reason: FailureReason::InvalidCard,
            message: "No such payment_intent".to_owned(),
        };
        let mut round = Round {
            from,
            page: Some("pi_gone".to_owned()),
            next_at: None,
            failures: 0,
        };
        for failures in 1..10 {
            round = after_failure(round, until, &silent);
            let seen = (round.from, round.page.as_deref(), round.failures);
            assert_eq!(seen, (from, Some("pi_gone"), failures));
        }
        round.failures = 0;
        for failures in 1..=PASSES_BEFORE_PUT_OFF {
            round.page = Some("pi_gone".to_owned());
            round = after_failure(round, until, &refused);
            let seen = (round.from, round.page.as_deref(), round.failures);
            assert_eq!(seen, (from, None, failures));
            // Its first page is told, and not the next: that is no progress.
            round = after(round, until, Some("pi_gone".to_owned()));
        }
        round = after_failure(round, until, &refused);
        assert_eq!((round.from, round.page, round.failures), (until, None, 0));
    }

    #[test]
    fn only_what_the_books_do_not_have_is_asked_about() {
        use RefundStatus::{NeedsOps, Succeeded};
        let entered = |status, is_ours| {
            vec![Entered {
                provider_refund_id: "x".to_owned(),
                is_ours,
                status,
            }]
        };
        let (gone, back) = (
            ProviderRefundStatus::Succeeded,
            ProviderRefundStatus::Failed,
        );
        for (known, status, news) in [
            (vec![], gone, true),
            (vec![], back, false),
            (entered(Succeeded, false), gone, false),
            (entered(Succeeded, false), back, true),
            (entered(NeedsOps, false), back, false),
            (entered(NeedsOps, false), gone, true),
            (entered(Succeeded, true), gone, true),
        ] {
            let refund = ProviderRefund {
                id: "x".to_owned(),
                status,
                refund_id: None,
                intent_id: None,
                amount_minor: 1,
                currency: "INR".to_owned(),
            };
            assert_eq!(is_news(&refund, &known), news, "{known:?} {status:?}");
            let dispute = ProviderDispute {
                id: "x".to_owned(),
                taken: status == gone,
                intent_id: None,
                amount_minor: 1,
                currency: "INR".to_owned(),
            };
            if known.iter().all(|known| !known.is_ours) {
                assert_eq!(moves_money(&dispute, &known), news, "{known:?} {status:?}");
            }
        }
    }
}
