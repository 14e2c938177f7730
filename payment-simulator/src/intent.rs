//! The payment intent as a state machine, without I/O and without a clock of its own.
//!
//! ```text
//! requires_payment_method ─► requires_confirmation ─► requires_action ─► succeeded
//!          ▲    │                      │                    │    ▲
//!          │    └──────── confirm ─────┴──► processing ◄────┘    │
//!          └─────────────── decline ◄──────────┴── settlement ───┘
//!     any but succeeded ── cancel ──► canceled ── late settlement ──► succeeded
//! ```
//!
//! Money is captured at most once per intent: everything that arrives after a capture is ignored.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cancel_reason::CancelReason;
use crate::id::{ChargeId, IntentId, LinkId, SessionId};
use crate::method::{BankOutcome, Decline, WebhookPlan};
pub(crate) use crate::status::{Notice, Status};

/// A payment intent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Intent {
    pub(crate) id: IntentId,
    /// Allows its holder to read and confirm this intent without the secret key.
    pub(crate) client_secret: String,
    pub(crate) amount_minor: u64,
    /// ISO 4217 in lower case, as in Stripe's API.
    pub(crate) currency: String,
    pub(crate) description: Option<String>,
    pub(crate) receipt_email: Option<String>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// The return URL from a confirm.
    pub(crate) return_url: Option<String>,
    pub(crate) status: Status,
    /// The chosen method, by the name that the caller used.
    pub(crate) payment_method: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) canceled_at: Option<Timestamp>,
    pub(crate) cancellation_reason: Option<CancelReason>,
    pub(crate) last_failure: Option<Failure>,
    pub(crate) latest_charge: Option<ChargeId>,
    pub(crate) capture: Option<Capture>,
    pub(crate) refunded_minor: u64,
    pub(crate) settlement: Option<Settlement>,
    pub(crate) webhooks: WebhookPlan,
    /// The checkout session that it pays for.
    #[serde(default)]
    pub(crate) session: Option<SessionId>,
    /// Whose card or account pays, if the customer said so. Every payment has its own otherwise.
    #[serde(default)]
    pub(crate) card: Option<String>,
    /// Whether the money waits for the merchant once the bank has agreed.
    #[serde(default)]
    pub(crate) is_manual: bool,
    /// What it is at Razorpay: one payment for a link. `None` for payment intents.
    #[serde(default)]
    pub(crate) link: Option<LinkPayment>,
}

/// A customer's payment for a payment link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LinkPayment {
    pub(crate) link: LinkId,
    /// `upi`, `card`, `wallet` or `netbanking`.
    pub(crate) method: String,
    /// Whether the bank agreed so late that the money waits for the merchant to take it.
    pub(crate) awaits_capture: bool,
}

/// A capture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Capture {
    pub(crate) charge: ChargeId,
    /// Differs from the intent's amount when the bank captured another one.
    pub(crate) amount_minor: u64,
    pub(crate) at: Timestamp,
}

/// The decline of the last attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) decline: Decline,
    pub(crate) charge: ChargeId,
}

/// A delayed decision of the bank.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settlement {
    /// `None` while the bank waits for the intent to be cancelled.
    pub(crate) due_at: Option<Timestamp>,
    /// Delay after the cancellation, for a `due_at` that was `None`.
    pub(crate) delay_ms: u64,
    pub(crate) charge: ChargeId,
    pub(crate) verdict: Verdict,
}

/// A decision of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Approve,
    Decline(Decline),
}

/// One attempt to capture the money.
pub(crate) struct Attempt {
    pub(crate) payment_method: String,
    pub(crate) bank: BankOutcome,
    pub(crate) webhooks: WebhookPlan,
    /// The amount that [`BankOutcome::ApproveOther`] captures.
    pub(crate) other_amount_minor: u64,
    pub(crate) settle_delay: Duration,
    pub(crate) charge: ChargeId,
    pub(crate) now: Timestamp,
}

/// The intent's status does not allow the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UnexpectedState(pub(crate) Status);

/// Why a refund is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefundRefused {
    NothingCaptured,
    AllRefunded,
    MoreThanLeft { left_minor: u64 },
}

impl Intent {
    /// Sends one attempt to the bank.
    pub(crate) fn confirm(&mut self, attempt: Attempt) -> Result<Notice, UnexpectedState> {
        match self.status {
            Status::RequiresPaymentMethod
            | Status::RequiresConfirmation
            | Status::RequiresAction => {}
            Status::Processing | Status::RequiresCapture | Status::Succeeded | Status::Canceled => {
                return Err(UnexpectedState(self.status));
            }
        }
        self.payment_method = Some(attempt.payment_method.clone());
        self.webhooks = attempt.webhooks;
        Ok(self.follow(attempt))
    }

    fn follow(&mut self, attempt: Attempt) -> Notice {
        let due_at = Some(attempt.now.plus(attempt.settle_delay));
        match attempt.bank {
            BankOutcome::Approve => self.take(attempt.charge, self.amount_minor, attempt.now),
            BankOutcome::ApproveOther => {
                self.take(attempt.charge, attempt.other_amount_minor, attempt.now)
            }
            BankOutcome::Decline(decline) => self.decline(decline, attempt.charge),
            BankOutcome::Authenticate => {
                self.status = Status::RequiresAction;
                Notice::RequiresAction
            }
            BankOutcome::ProcessThenApprove => self.process(attempt, due_at, Verdict::Approve),
            BankOutcome::ProcessThenDecline(decline) => {
                self.process(attempt, due_at, Verdict::Decline(decline))
            }
            BankOutcome::ApproveAfterCancel => self.process(attempt, None, Verdict::Approve),
            BankOutcome::DeclineThenApprove => {
                let notice = self.decline(Decline::Generic, attempt.charge.clone());
                self.schedule(attempt, due_at, Verdict::Approve);
                notice
            }
            BankOutcome::CustomerCancels => {
                self.end(CancelReason::RequestedByCustomer, attempt.now)
            }
        }
    }

    /// Records whether the customer passed the bank's check.
    pub(crate) fn authenticate(
        &mut self,
        passed: bool,
        charge: ChargeId,
        now: Timestamp,
    ) -> Result<Notice, UnexpectedState> {
        match (self.status, passed) {
            (Status::RequiresAction, true) => Ok(self.take(charge, self.amount_minor, now)),
            (Status::RequiresAction, false) => {
                Ok(self.decline(Decline::AuthenticationFailed, charge))
            }
            (other, _) => Err(UnexpectedState(other)),
        }
    }

    /// Applies the bank's delayed decision if it is due. After a capture it changes nothing.
    pub(crate) fn settle(&mut self, now: Timestamp) -> Option<Notice> {
        let due = |settlement: &Settlement| settlement.due_at.is_some_and(|at| at <= now);
        let settlement = self.settlement.take_if(|settlement| due(settlement))?;
        if self.capture.is_some() {
            return None;
        }
        match settlement.verdict {
            Verdict::Approve => Some(self.take(settlement.charge, self.amount_minor, now)),
            Verdict::Decline(_) if self.status != Status::Processing => None,
            Verdict::Decline(decline) => Some(self.decline(decline, settlement.charge)),
        }
    }

    /// Cancels the intent. Refused while the bank is processing it, except where the bank waits for
    /// the cancellation.
    pub(crate) fn cancel(
        &mut self,
        reason: CancelReason,
        now: Timestamp,
    ) -> Result<Notice, UnexpectedState> {
        let waits = self
            .settlement
            .as_ref()
            .is_some_and(|settlement| settlement.due_at.is_none());
        match self.status {
            Status::Processing if !waits => return Err(UnexpectedState(self.status)),
            Status::Succeeded | Status::Canceled => return Err(UnexpectedState(self.status)),
            _ => {}
        }
        if let Some(settlement) = &mut self.settlement
            && settlement.due_at.is_none()
        {
            let delay = Duration::from_millis(settlement.delay_ms);
            settlement.due_at = Some(now.plus(delay));
        }
        Ok(self.end(reason, now))
    }

    /// Takes the money that the bank has agreed to.
    pub(crate) fn take_agreed(&mut self, now: Timestamp) -> Result<Notice, UnexpectedState> {
        let Some(capture) = self
            .capture
            .as_mut()
            .filter(|_| self.status == Status::RequiresCapture)
        else {
            return Err(UnexpectedState(self.status));
        };
        capture.at = now;
        self.status = Status::Succeeded;
        Ok(Notice::Succeeded)
    }

    /// Refunds `amount_minor`, or all that is left.
    pub(crate) fn refund(&mut self, amount_minor: Option<u64>) -> Result<u64, RefundRefused> {
        let captured = self.captured_minor();
        if captured == 0 {
            return Err(RefundRefused::NothingCaptured);
        }
        let left_minor = captured.saturating_sub(self.refunded_minor);
        let amount = amount_minor.unwrap_or(left_minor);
        if left_minor == 0 {
            return Err(RefundRefused::AllRefunded);
        }
        if amount > left_minor {
            return Err(RefundRefused::MoreThanLeft { left_minor });
        }
        self.refunded_minor += amount;
        Ok(amount)
    }

    /// Whether the bank agreed and the money is not taken yet.
    pub(crate) fn awaits_capture(&self) -> bool {
        self.status == Status::RequiresCapture
            || self.link.as_ref().is_some_and(|link| link.awaits_capture)
    }

    /// Money captured so far.
    pub(crate) fn captured_minor(&self) -> u64 {
        if self.awaits_capture() {
            return 0;
        }
        self.capture
            .as_ref()
            .map_or(0, |capture| capture.amount_minor)
    }

    /// The return URL: from the metadata, which only the merchant can set, otherwise from a
    /// confirm.
    pub(crate) fn way_back(&self) -> Option<&str> {
        let merchants = self.metadata.get("return_url").map(String::as_str);
        merchants.or(self.return_url.as_deref())
    }

    fn take(&mut self, charge: ChargeId, amount_minor: u64, now: Timestamp) -> Notice {
        let (status, notice) = if self.is_manual {
            (Status::RequiresCapture, Notice::Capturable)
        } else {
            (Status::Succeeded, Notice::Succeeded)
        };
        self.status = status;
        self.last_failure = None;
        self.latest_charge = Some(charge.clone());
        self.capture = Some(Capture {
            charge,
            amount_minor,
            at: now,
        });
        notice
    }

    fn decline(&mut self, decline: Decline, charge: ChargeId) -> Notice {
        self.status = Status::RequiresPaymentMethod;
        self.payment_method = None;
        self.latest_charge = Some(charge.clone());
        self.last_failure = Some(Failure { decline, charge });
        Notice::PaymentFailed
    }

    fn process(&mut self, attempt: Attempt, due_at: Option<Timestamp>, verdict: Verdict) -> Notice {
        self.status = Status::Processing;
        self.latest_charge = Some(attempt.charge.clone());
        self.schedule(attempt, due_at, verdict);
        Notice::Processing
    }

    fn schedule(&mut self, attempt: Attempt, due_at: Option<Timestamp>, verdict: Verdict) {
        self.settlement = Some(Settlement {
            due_at,
            delay_ms: u64::try_from(attempt.settle_delay.as_millis()).unwrap_or(u64::MAX),
            charge: attempt.charge,
            verdict,
        });
    }

    fn end(&mut self, reason: CancelReason, now: Timestamp) -> Notice {
        // What was only agreed to is left.
        self.capture = None;
        self.status = Status::Canceled;
        self.canceled_at = Some(now);
        self.cancellation_reason = Some(reason);
        Notice::Canceled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const DELAY: Duration = Duration::from_secs(5);

    fn intent() -> Intent {
        Intent {
            id: IntentId::from("pi_1"),
            client_secret: "pi_1_secret_x".to_owned(),
            amount_minor: 1200,
            currency: "inr".to_owned(),
            description: None,
            receipt_email: None,
            metadata: BTreeMap::new(),
            return_url: None,
            status: Status::RequiresPaymentMethod,
            payment_method: None,
            created_at: NOW,
            canceled_at: None,
            cancellation_reason: None,
            last_failure: None,
            latest_charge: None,
            capture: None,
            refunded_minor: 0,
            settlement: None,
            webhooks: WebhookPlan::Prompt,
            session: None,
            card: None,
            is_manual: false,
            link: None,
        }
    }

    fn attempt(bank: BankOutcome) -> Attempt {
        Attempt {
            payment_method: "pm_card_visa".to_owned(),
            bank,
            webhooks: WebhookPlan::Prompt,
            other_amount_minor: 1300,
            settle_delay: DELAY,
            charge: ChargeId::from("ch_1"),
            now: NOW,
        }
    }

    #[track_caller]
    fn check_confirm(bank: BankOutcome, notice: Notice, status: Status, captured_minor: u64) {
        let mut intent = intent();
        assert_eq!(intent.confirm(attempt(bank)), Ok(notice), "{bank:?}");
        assert_eq!(intent.status, status, "{bank:?}");
        assert_eq!(intent.captured_minor(), captured_minor, "{bank:?}");
    }

    #[test]
    fn each_bank_outcome_leads_to_its_state() {
        use BankOutcome as B;
        let fraud = Decline::Fraudulent;
        let wants_method = Status::RequiresPaymentMethod;
        check_confirm(B::Approve, Notice::Succeeded, Status::Succeeded, 1200);
        check_confirm(B::ApproveOther, Notice::Succeeded, Status::Succeeded, 1300);
        check_confirm(B::Decline(fraud), Notice::PaymentFailed, wants_method, 0);
        check_confirm(
            B::DeclineThenApprove,
            Notice::PaymentFailed,
            wants_method,
            0,
        );
        check_confirm(
            B::Authenticate,
            Notice::RequiresAction,
            Status::RequiresAction,
            0,
        );
        check_confirm(
            B::ProcessThenApprove,
            Notice::Processing,
            Status::Processing,
            0,
        );
        check_confirm(
            B::ProcessThenDecline(fraud),
            Notice::Processing,
            Status::Processing,
            0,
        );
        check_confirm(
            B::ApproveAfterCancel,
            Notice::Processing,
            Status::Processing,
            0,
        );
        check_confirm(B::CustomerCancels, Notice::Canceled, Status::Canceled, 0);
    }

    #[test]
    fn a_settled_intent_takes_no_second_attempt() {
        for bank in [
            BankOutcome::Approve,
            BankOutcome::ProcessThenApprove,
            BankOutcome::CustomerCancels,
        ] {
            let mut intent = intent();
            intent.confirm(attempt(bank)).unwrap();
            let before = intent.clone();
            let again = intent.confirm(attempt(BankOutcome::Approve));
            assert_eq!(again, Err(UnexpectedState(before.status)));
            assert_eq!(intent.capture, before.capture);
        }
    }

    #[test]
    fn the_bank_speaks_when_it_is_due_and_only_once() {
        let mut intent = intent();
        intent
            .confirm(attempt(BankOutcome::ProcessThenApprove))
            .unwrap();
        let early = NOW.plus(DELAY).minus(Duration::from_millis(1));
        assert_eq!(intent.settle(early), None);
        assert_eq!(intent.settle(NOW.plus(DELAY)), Some(Notice::Succeeded));
        assert_eq!(intent.settle(NOW.plus(DELAY)), None);
        assert_eq!(intent.captured_minor(), 1200);
    }

    #[test]
    fn a_late_decline_asks_for_another_method() {
        let mut intent = intent();
        let late = BankOutcome::ProcessThenDecline(Decline::IssuerNotAvailable);
        intent.confirm(attempt(late)).unwrap();
        assert_eq!(intent.settle(NOW.plus(DELAY)), Some(Notice::PaymentFailed));
        assert_eq!(intent.status, Status::RequiresPaymentMethod);
        let failure = intent.last_failure.unwrap();
        assert_eq!(failure.decline, Decline::IssuerNotAvailable);
    }

    #[test]
    fn money_that_waits_is_taken_once_or_left() {
        let manual = || Intent {
            is_manual: true,
            ..intent()
        };
        let mut taken = manual();
        let agreed = taken.confirm(attempt(BankOutcome::Approve));
        assert_eq!(agreed, Ok(Notice::Capturable));
        assert_eq!((taken.captured_minor(), taken.awaits_capture()), (0, true));
        assert_eq!(taken.refund(None), Err(RefundRefused::NothingCaptured));
        assert_eq!(taken.take_agreed(NOW), Ok(Notice::Succeeded));
        assert_eq!(taken.captured_minor(), 1200);
        assert!(taken.take_agreed(NOW).is_err());
        assert!(taken.cancel(CancelReason::Abandoned, NOW).is_err());
        let mut left = manual();
        left.confirm(attempt(BankOutcome::Approve)).unwrap();
        left.cancel(CancelReason::Abandoned, NOW).unwrap();
        assert_eq!((left.captured_minor(), left.awaits_capture()), (0, false));
        assert!(left.take_agreed(NOW).is_err());
    }

    #[test]
    fn a_late_success_after_another_card_paid_captures_nothing_more() {
        let mut intent = intent();
        intent
            .confirm(attempt(BankOutcome::DeclineThenApprove))
            .unwrap();
        let mut second = attempt(BankOutcome::Approve);
        second.charge = ChargeId::from("ch_2");
        intent.confirm(second).unwrap();
        let before = intent.capture.clone();
        assert_eq!(intent.settle(NOW.plus(DELAY)), None);
        assert_eq!(intent.capture, before);
    }

    #[test]
    fn a_cancel_sets_off_the_success_that_waits_for_it() {
        let mut intent = intent();
        intent
            .confirm(attempt(BankOutcome::ApproveAfterCancel))
            .unwrap();
        assert_eq!(intent.settle(NOW.plus(DELAY * 100)), None);
        let cancelled_at = NOW.plus(DELAY * 2);
        intent
            .cancel(CancelReason::Abandoned, cancelled_at)
            .unwrap();
        assert_eq!(intent.status, Status::Canceled);
        assert_eq!(intent.settle(cancelled_at), None);
        assert_eq!(
            intent.settle(cancelled_at.plus(DELAY)),
            Some(Notice::Succeeded)
        );
        assert_eq!(intent.captured_minor(), 1200);
    }

    #[test]
    fn a_late_decline_does_not_reopen_a_cancelled_intent() {
        let mut intent = intent();
        intent
            .confirm(attempt(BankOutcome::DeclineThenApprove))
            .unwrap();
        intent.cancel(CancelReason::Abandoned, NOW).unwrap();
        let settlement = intent.settlement.as_mut().unwrap();
        settlement.verdict = Verdict::Decline(Decline::Generic);
        assert_eq!(intent.settle(NOW.plus(DELAY)), None);
        assert_eq!(intent.status, Status::Canceled);
    }

    #[test]
    fn a_cancel_is_refused_while_the_bank_works_or_after_the_end() {
        for bank in [
            BankOutcome::ProcessThenApprove,
            BankOutcome::Approve,
            BankOutcome::CustomerCancels,
        ] {
            let mut intent = intent();
            intent.confirm(attempt(bank)).unwrap();
            assert!(
                intent.cancel(CancelReason::Abandoned, NOW).is_err(),
                "{bank:?}"
            );
        }
    }

    #[test]
    fn the_customer_passes_or_fails_the_check_once() {
        let charge = || ChargeId::from("ch_2");
        let mut passed = intent();
        passed.confirm(attempt(BankOutcome::Authenticate)).unwrap();
        assert_eq!(
            passed.authenticate(true, charge(), NOW),
            Ok(Notice::Succeeded)
        );
        assert!(passed.authenticate(false, charge(), NOW).is_err());
        let mut failed = intent();
        failed.confirm(attempt(BankOutcome::Authenticate)).unwrap();
        assert_eq!(
            failed.authenticate(false, charge(), NOW),
            Ok(Notice::PaymentFailed)
        );
        assert_eq!(failed.captured_minor(), 0);
    }

    #[test]
    fn refunds_add_up_to_the_capture_and_no_further() {
        let mut intent = intent();
        assert_eq!(intent.refund(None), Err(RefundRefused::NothingCaptured));
        intent.confirm(attempt(BankOutcome::ApproveOther)).unwrap();
        assert_eq!(intent.refund(Some(1000)), Ok(1000));
        let left = RefundRefused::MoreThanLeft { left_minor: 300 };
        assert_eq!(intent.refund(Some(301)), Err(left));
        assert_eq!(intent.refund(None), Ok(300));
        assert_eq!(intent.refund(Some(1)), Err(RefundRefused::AllRefunded));
        assert_eq!(intent.refunded_minor, intent.captured_minor());
    }
}
