//! Money that was given back outside the shop: refunds made at the provider, and disputes.
//!
//! Webhooks and the comparison with the provider's books only name the payment. Its refunds and
//! disputes are then fetched and compared with our books under the locks of hold and payment, so
//! that concurrent callers reach the same result. When all of a booking's money is gone, its
//! tickets are void and its seats free; a partial refund and every dispute need a person.

use contract::BookingId;
use uuid::Uuid;

use super::provider::{ProviderDispute, ProviderError, ProviderRefund, ProviderRefundStatus};
use crate::core::Core;
use crate::database::{StoreError, repeat_if_contended};
use crate::money::{Disposition, RefundStatus, derived_id};
use crate::store;
use crate::store::returned::{Move, Origin, ReturnRow, Returns};
use crate::telemetry;

/// A refund or dispute at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Returned {
    pub(crate) provider_id: String,
    pub(crate) origin: Origin,
    /// Our refund id, if the shop made it.
    pub(crate) refund_id: Option<Uuid>,
    pub(crate) amount_minor: i64,
    pub(crate) currency: String,
    /// Whether the money is gone now. It returns when a refund fails or a dispute is won.
    pub(crate) gone: bool,
}

/// One change of our books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The money is gone, and our books do not have it yet.
    Take(Returned),
    /// The refund pays this much of a debt of the shop's own, of which so much is left then. Paying
    /// all of it settles the debt.
    Pays { debt: Uuid, left: i64, by: Returned },
    /// More is gone than is neither gone nor promised: what the shop promised itself and has not
    /// sent yet is no longer owed. So a bank that takes back all of a payment leaves nothing of a
    /// cancellation to be given back.
    TakesOver { less: Vec<Less>, by: Returned },
    /// The money has returned.
    GiveBack { row: Uuid },
    /// The money is gone again.
    TakeAgain { row: Uuid },
    /// More is gone than was captured, which the books cannot represent.
    TooMuch(Returned),
}

/// A debt of the shop's own that is reduced by this amount, and what is left of it then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Less {
    pub(crate) debt: Uuid,
    pub(crate) by: i64,
    pub(crate) left: i64,
}

/// The result of comparing one payment. Ids are the provider's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// The booking of the payment, if it has one.
    pub(crate) booking: Option<BookingId>,
    /// Whether all of its money is gone.
    pub(crate) whole: bool,
    /// Whether any money is gone by a refund or dispute that the shop did not make.
    pub(crate) any: bool,
    /// Refunds and disputes that cannot be entered into the books.
    pub(crate) unexplained: Vec<String>,
}

/// Decides what `found` means for the `known` rows of a payment. `left` is the part of its captured
/// money that is neither gone nor promised. Pure.
pub(crate) fn steps(
    known: &[ReturnRow],
    found: &[Returned],
    currency: &str,
    left: i64,
) -> Vec<Step> {
    let mut left = left;
    let mut debts: Vec<(Uuid, i64)> = known
        .iter()
        .filter(|row| row.origin == Origin::Ours && row.may_be_paid_otherwise())
        .map(|row| (row.refund_id, row.amount_minor))
        .collect();
    // Operators are told to make these by hand.
    let given_up: Vec<Uuid> = known
        .iter()
        .filter(|row| row.origin == Origin::Ours && row.status == RefundStatus::NeedsOps)
        .map(|row| row.refund_id)
        .collect();
    let mut steps = Vec::new();
    for returned in found {
        let row = known.iter().find(|row| {
            row.provider_refund_id.as_deref() == Some(&returned.provider_id)
                || Some(row.refund_id) == returned.refund_id
        });
        let fits = returned.currency == currency && returned.amount_minor > 0;
        match row {
            Some(row) if row.origin == Origin::Ours => {}
            Some(row) => match (row.status, returned.gone) {
                (RefundStatus::Succeeded, false) => {
                    left += row.amount_minor;
                    steps.push(Step::GiveBack { row: row.refund_id });
                }
                (RefundStatus::NeedsOps, true) if row.amount_minor <= left => {
                    left -= row.amount_minor;
                    steps.push(Step::TakeAgain { row: row.refund_id });
                }
                (RefundStatus::NeedsOps, true) => steps.push(Step::TooMuch(returned.clone())),
                _ => {}
            },
            None if !returned.gone => {}
            None => {
                let pays = |(_, owed): &&mut (Uuid, i64)| *owed >= returned.amount_minor;
                let awaited = |debt: &(Uuid, i64)| {
                    given_up.contains(&debt.0) && debt.1 >= returned.amount_minor
                };
                if fits && returned.amount_minor <= left && !debts.iter().any(awaited) {
                    left -= returned.amount_minor;
                    steps.push(Step::Take(returned.clone()));
                    continue;
                }
                // Those that nobody tries any more first.
                debts.sort_by_key(|(debt, _)| !given_up.contains(debt));
                let owed_in_all = debts.iter().fold(0, |sum, (_, owed)| sum + owed);
                match debts.iter_mut().find(pays).filter(|_| fits) {
                    Some((debt, owed)) => {
                        *owed -= returned.amount_minor;
                        steps.push(Step::Pays {
                            debt: *debt,
                            left: *owed,
                            by: returned.clone(),
                        });
                    }
                    None if fits && returned.amount_minor <= left + owed_in_all => {
                        let less = lowered(&mut debts, returned.amount_minor - left);
                        left = 0;
                        let by = returned.clone();
                        steps.push(Step::TakesOver { less, by });
                    }
                    None => steps.push(Step::TooMuch(returned.clone())),
                }
            }
        }
    }
    steps
}

/// Reduces `debts` by `amount` together, the first ones first.
fn lowered(debts: &mut [(Uuid, i64)], amount: i64) -> Vec<Less> {
    let mut rest = amount;
    let mut less = Vec::new();
    for (debt, owed) in debts.iter_mut().filter(|(_, owed)| *owed > 0) {
        let by = rest.min(*owed);
        if by == 0 {
            break;
        }
        rest -= by;
        *owed -= by;
        less.push(Less {
            debt: *debt,
            by,
            left: *owed,
        });
    }
    less
}

impl From<ProviderRefund> for Returned {
    fn from(refund: ProviderRefund) -> Self {
        Self {
            refund_id: refund.refund_id.as_deref().and_then(|id| id.parse().ok()),
            provider_id: refund.id,
            origin: Origin::Provider,
            amount_minor: refund.amount_minor,
            currency: refund.currency,
            // The provider takes the money from the account when the refund is created.
            gone: refund.status != ProviderRefundStatus::Failed,
        }
    }
}

impl From<ProviderDispute> for Returned {
    fn from(dispute: ProviderDispute) -> Self {
        Self {
            refund_id: None,
            provider_id: dispute.id,
            origin: Origin::Dispute,
            amount_minor: dispute.amount_minor,
            currency: dispute.currency,
            gone: dispute.taken,
        }
    }
}

impl Core {
    /// Updates our books with what the provider has given back of a payment. An inner error means
    /// that the provider could not be asked.
    pub(crate) async fn returns_look(
        &self,
        payment_id: Uuid,
    ) -> Result<Result<Look, ProviderError>, StoreError> {
        // A refund implies captured money, which our books may not have yet.
        let resolved = self.resolve_payment(payment_id, None).await?;
        let Some(resolved) = resolved else {
            return Ok(Ok(Look::default()));
        };
        if let Some(error) = resolved.unanswered {
            return Ok(Err(error));
        }
        let payment = resolved.payment;
        let Some(charge) = payment.charge_id.as_ref().or(payment.intent_id.as_ref()) else {
            return Ok(Ok(Look::default()));
        };
        let provider = match self.providers.named(&payment.provider) {
            Ok(provider) => provider.about(payment.hold_id),
            Err(error) => return Ok(Err(error)),
        };
        let mut found = match provider.refunds_of(charge).await {
            Ok(refunds) => refunds.into_iter().map(Returned::from).collect::<Vec<_>>(),
            Err(error) => return Ok(Err(error)),
        };
        match provider.disputes_of(charge).await {
            Ok(disputes) => found.extend(disputes.into_iter().map(Returned::from)),
            Err(error) => return Ok(Err(error)),
        }
        let (hold_id, found) = (payment.hold_id, &found);
        let settled =
            repeat_if_contended(|| self.returns_settle(hold_id, payment_id, found)).await?;
        let (look, reports) = settled;
        self.catalogue.apply(&reports);
        Ok(Ok(look))
    }

    async fn returns_settle(
        &self,
        hold_id: Uuid,
        payment_id: Uuid,
        found: &[Returned],
    ) -> Result<(Look, Vec<store::seats::SeatReport>), StoreError> {
        let now = self.clock.now();
        let mut tx = self.pools.jobs.begin().await?;
        let Some(hold) = store::holds::lock(&mut tx, hold_id).await? else {
            return Ok((Look::default(), Vec::new()));
        };
        let Some(mut books) = store::returned::lock(&mut tx, payment_id).await? else {
            return Ok((Look::default(), Vec::new()));
        };
        let steps = steps(&books.rows, found, &books.currency, books.left());
        let mut moves: Vec<Move> = steps.iter().flat_map(|step| moves(step, &books)).collect();
        for step in &steps {
            if let Step::GiveBack { row } = step {
                let taken = store::returned::takeovers(&mut tx, *row).await?;
                moves.extend(restored(&books.rows, *row, &taken));
            }
        }
        books.apply(&moves);
        let booked = books.disposition == Some(Disposition::Booked);
        let booking_id = hold.booking_id.filter(|_| booked);
        let whole = books.refunded_minor >= books.captured_minor && books.captured_minor > 0;
        let mut reports = Vec::new();
        let mut ended = false;
        if let Some(booking_id) = booking_id.filter(|_| whole) {
            let freed = store::returned::cancel_booking(&mut tx, &hold, booking_id, now).await?;
            ended = !freed.is_empty();
            reports = freed;
        }
        store::returned::write(&mut tx, payment_id, &books, &moves, now).await?;
        tx.commit().await?;
        let booking = booking_id.map(BookingId::new);
        tell(&steps, payment_id, booking, ended);
        let by_others =
            |row: &ReturnRow| row.origin != Origin::Ours && row.status == RefundStatus::Succeeded;
        let unexplained = steps.into_iter().filter_map(|step| match step {
            Step::TooMuch(returned) => Some(returned.provider_id),
            _ => None,
        });
        let look = Look {
            booking,
            whole,
            any: books.rows.iter().any(by_others),
            unexplained: unexplained.collect(),
        };
        Ok((look, reports))
    }
}

/// What is promised again after a dispute was won that had taken promised refunds over. A refund that
/// the provider has accepted meanwhile, with what was left of it, cannot be raised; a person is told.
fn restored(rows: &[ReturnRow], dispute: Uuid, taken: &[(Uuid, i64)]) -> Vec<Move> {
    let mut moves = Vec::new();
    for (refund_id, by) in taken {
        let row = rows.iter().find(|row| row.refund_id == *refund_id);
        let nothing_left =
            |row: &ReturnRow| row.amount_minor == 0 && row.status == RefundStatus::Succeeded;
        if row.is_some_and(|row| nothing_left(row) || row.may_be_paid_otherwise()) {
            moves.push(Move::Raise {
                refund_id: *refund_id,
                by: *by,
                dispute,
            });
        } else {
            tracing::error!(
                refund = %refund_id, amount_minor = by,
                "a dispute was won that had taken a refund over: give the rest back by hand"
            );
        }
    }
    moves
}

/// The movements of money of a step.
fn moves(step: &Step, books: &Returns) -> Vec<Move> {
    let row_of = |id: &Uuid| books.rows.iter().find(|row| row.refund_id == *id);
    let back_and_forth = |id: &Uuid, gives: bool| {
        row_of(id).map(|row| Move::Turn {
            refund_id: row.refund_id,
            amount_minor: row.amount_minor,
            turn: row.refusal_count,
            gives,
        })
    };
    let take = |returned: &Returned| Move::Take {
        row: ReturnRow {
            refund_id: derived_id(&["returned", &returned.provider_id]),
            origin: returned.origin,
            provider_refund_id: Some(returned.provider_id.clone()),
            status: RefundStatus::Succeeded,
            amount_minor: returned.amount_minor,
            attempt_count: 0,
            refusal_count: 0,
        },
    };
    match step {
        Step::Take(returned) => vec![take(returned)],
        Step::Pays { debt, left, by } => match row_of(debt) {
            Some(row) if row.amount_minor == by.amount_minor && *left == 0 => vec![Move::Settle {
                refund_id: row.refund_id,
                provider_id: by.provider_id.clone(),
                amount_minor: row.amount_minor,
                turn: row.refusal_count,
            }],
            _ => vec![
                Move::Lower {
                    refund_id: *debt,
                    by: by.amount_minor,
                    left: *left,
                    dispute: None,
                },
                take(by),
            ],
        },
        Step::TakesOver { less, by } => {
            let lowers = less.iter().map(|less| Move::Lower {
                refund_id: less.debt,
                by: less.by,
                left: less.left,
                dispute: (by.origin == Origin::Dispute)
                    .then(|| derived_id(&["returned", &by.provider_id])),
            });
            lowers.chain([take(by)]).collect()
        }
        Step::GiveBack { row } => back_and_forth(row, false).into_iter().collect(),
        Step::TakeAgain { row } => back_and_forth(row, true).into_iter().collect(),
        Step::TooMuch(_) => Vec::new(),
    }
}

/// Logs what was found. Each finding is logged once, because it is in the books afterwards.
fn tell(steps: &[Step], payment_id: Uuid, booking: Option<BookingId>, ended: bool) {
    let booking = booking.map(|id| id.to_string()).unwrap_or_default();
    for step in steps {
        let (kind, id) = match step {
            Step::Take(returned)
            | Step::Pays { by: returned, .. }
            | Step::TakesOver { by: returned, .. } => {
                let kind = match returned.origin {
                    Origin::Dispute => "dispute",
                    Origin::Ours | Origin::Provider if ended || booking.is_empty() => "full",
                    Origin::Ours | Origin::Provider => "partial",
                };
                (kind, returned.provider_id.clone())
            }
            Step::TakeAgain { row } => ("again", row.to_string()),
            Step::GiveBack { row } => ("came-back", row.to_string()),
            Step::TooMuch(returned) => ("unexplained", returned.provider_id.clone()),
        };
        metrics::counter!(telemetry::RETURNED, "kind" => kind).increment(1);
        match kind {
            "full" => tracing::warn!(
                payment = %payment_id, booking, returned = id,
                "money was given back at the provider: the tickets of its booking are void"
            ),
            "partial" => tracing::error!(
                payment = %payment_id, booking, returned = id,
                "part of a booking's money was given back at the provider: a person has to look \
                 which tickets are meant"
            ),
            "dispute" => tracing::error!(
                payment = %payment_id, booking, returned = id, tickets_void = ended,
                "a customer's bank disputes a payment: a person has to answer it"
            ),
            "unexplained" => tracing::error!(
                payment = %payment_id, booking, returned = id,
                "more money went back at the provider than was taken: a person has to look"
            ),
            _ => tracing::error!(
                payment = %payment_id, booking, returned = id, kind,
                "money that had gone back moved again: a person has to look"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u128, origin: Origin, status: RefundStatus, amount: i64) -> ReturnRow {
        ReturnRow {
            refund_id: Uuid::from_u128(id),
            origin,
            provider_refund_id: Some(format!("re_{id}")),
            status,
            amount_minor: amount,
            attempt_count: 1,
            refusal_count: 1,
        }
    }

    fn found(id: u128, amount: i64, gone: bool) -> Returned {
        Returned {
            provider_id: format!("re_{id}"),
            origin: Origin::Provider,
            refund_id: None,
            amount_minor: amount,
            currency: "EUR".to_owned(),
            gone,
        }
    }

    #[test]
    fn what_is_gone_is_entered_once() {
        let new = found(1, 500, true);
        assert_eq!(
            steps(&[], std::slice::from_ref(&new), "EUR", 500),
            [Step::Take(new.clone())]
        );
        let known = row(1, Origin::Provider, RefundStatus::Succeeded, 500);
        assert_eq!(steps(std::slice::from_ref(&known), &[new], "EUR", 0), []);
        let back = found(1, 500, false);
        let given = Step::GiveBack {
            row: known.refund_id,
        };
        assert_eq!(
            steps(&[known], std::slice::from_ref(&back), "EUR", 0),
            [given]
        );
        assert_eq!(steps(&[], &[back], "EUR", 500), []);
    }

    #[test]
    fn more_than_was_taken_is_never_entered() {
        let (first, second) = (found(1, 400, true), found(2, 200, true));
        let expected = [Step::Take(first.clone()), Step::TooMuch(second.clone())];
        assert_eq!(steps(&[], &[first, second], "EUR", 500), expected);
        let other = Returned {
            currency: "USD".to_owned(),
            ..found(3, 1, true)
        };
        assert_eq!(
            steps(&[], std::slice::from_ref(&other), "EUR", 9),
            [Step::TooMuch(other.clone())]
        );
    }

    #[test]
    fn a_refund_by_hand_pays_a_debt_of_ours() {
        let debt = row(9, Origin::Ours, RefundStatus::NeedsOps, 500);
        for (amount, pays) in [(500, true), (200, true), (501, false)] {
            let by = found(1, amount, true);
            let expected = if pays {
                Step::Pays {
                    debt: debt.refund_id,
                    left: 500 - amount,
                    by: by.clone(),
                }
            } else {
                Step::TooMuch(by.clone())
            };
            assert_eq!(
                steps(std::slice::from_ref(&debt), &[by], "EUR", 0),
                [expected]
            );
        }
        // A refund that the provider has accepted is no debt that another refund could pay.
        let made = row(9, Origin::Ours, RefundStatus::Submitted, 500);
        let by = found(1, 500, true);
        assert_eq!(
            steps(&[made], std::slice::from_ref(&by), "EUR", 0),
            [Step::TooMuch(by.clone())]
        );
    }

    #[test]
    fn a_refund_that_may_have_been_made_is_no_debt() {
        use RefundStatus::{Failed, NeedsOps, Requested};
        for (status, attempts, refusals, is_debt) in [
            (Requested, 0, 0, true),
            (Requested, 1, 0, false),
            (Failed, 2, 2, true),
            (Failed, 3, 2, false),
            (NeedsOps, 13, 12, true),
        ] {
            let debt = ReturnRow {
                attempt_count: attempts,
                refusal_count: refusals,
                ..row(9, Origin::Ours, status, 400)
            };
            // The bank takes all, of which 400 are promised.
            let dispute = Returned {
                origin: Origin::Dispute,
                ..found(1, 900, true)
            };
            let steps = steps(&[debt], std::slice::from_ref(&dispute), "EUR", 500);
            let takes_over = matches!(steps.as_slice(), [Step::TakesOver { .. }]);
            assert_eq!(
                takes_over, is_debt,
                "{status:?} {attempts} {refusals}: {steps:?}"
            );
            assert!(is_debt || steps == [Step::TooMuch(dispute)]);
        }
    }

    #[test]
    fn a_refund_by_hand_pays_first_what_was_given_up() {
        let tried = row(8, Origin::Ours, RefundStatus::Failed, 300);
        let given_up = row(9, Origin::Ours, RefundStatus::NeedsOps, 300);
        let by = found(1, 300, true);
        let pays = Step::Pays {
            debt: given_up.refund_id,
            left: 0,
            by: by.clone(),
        };
        let known = [tried.clone(), given_up];
        for left in [0, 1000] {
            let steps = steps(&known, std::slice::from_ref(&by), "EUR", left);
            assert_eq!(steps, std::slice::from_ref(&pays), "{left}");
        }
        // One that is still tried is made by the shop.
        let steps = steps(&[tried], std::slice::from_ref(&by), "EUR", 1000);
        assert_eq!(steps, [Step::Take(by.clone())]);
    }

    #[test]
    fn what_a_bank_takes_back_is_not_given_back_as_well() {
        let debt = |id, amount| row(id, Origin::Ours, RefundStatus::Requested, amount);
        let less = |id, by, left| Less {
            debt: Uuid::from_u128(id),
            by,
            left,
        };
        let by = found(1, 500, true);
        let known = [debt(8, 300), debt(9, 150)];
        for (left, expected) in [
            (50, Some(vec![less(8, 300, 0), less(9, 150, 0)])),
            (150, Some(vec![less(8, 300, 0), less(9, 50, 100)])),
            (400, Some(vec![less(8, 100, 200)])),
            (49, None),
        ] {
            let expected = match expected {
                Some(less) => Step::TakesOver {
                    less,
                    by: by.clone(),
                },
                None => Step::TooMuch(by.clone()),
            };
            let steps = steps(&known, std::slice::from_ref(&by), "EUR", left);
            assert_eq!(steps, [expected], "{left}");
        }
        // What the provider has accepted is gone.
        let made = row(8, Origin::Ours, RefundStatus::Submitted, 450);
        assert_eq!(
            steps(&[made], std::slice::from_ref(&by), "EUR", 50),
            [Step::TooMuch(by.clone())]
        );
    }
}
