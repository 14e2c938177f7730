//! The card or account that pays: what the providers tell of it. Pure.
//!
//! A customer may say whose card it is; the same name is the same card, with every payment. Without a
//! name every payment is made with a card of its own, as those of many customers are.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use crate::intent::Intent;
use crate::method::Decline;

/// What stands for the card: the same for the same card.
pub(crate) fn fingerprint(intent: &Intent) -> String {
    let whose = intent.card.as_deref().unwrap_or(intent.id.as_ref());
    let digest = Sha256::digest(format!("card {whose}"));
    HEXLOWER.encode(&digest[..8])
}

/// The address of the account with which UPI payments are made.
pub(crate) fn vpa(intent: &Intent) -> String {
    format!("fan.{}@exampleupi", fingerprint(intent))
}

/// The country of the card, by the method.
pub(crate) fn country(intent: &Intent) -> &'static str {
    match intent.payment_method.as_deref() {
        Some("pm_card_fr") => "FR",
        _ => "US",
    }
}

/// The network of the card, by the method.
pub(crate) fn network(intent: &Intent) -> &'static str {
    match intent.payment_method.as_deref() {
        Some("pm_card_mastercard") => "mastercard",
        Some("pm_card_amex") => "amex",
        _ => "visa",
    }
}

/// What kind of account the card is of, by the method.
pub(crate) fn funding(intent: &Intent) -> &'static str {
    match intent.payment_method.as_deref() {
        Some("pm_card_visa_debit") => "debit",
        _ => "credit",
    }
}

/// The bank of the card, by the method. Stripe does not tell it to most accounts.
pub(crate) fn issuer(intent: &Intent) -> &'static str {
    match intent.payment_method.as_deref() {
        Some("pm_card_mastercard") => "ICIC",
        Some("pm_card_amex") => "AMEX",
        _ => "HDFC",
    }
}

/// How risky Stripe finds the last try, by the method.
pub(crate) fn risk_level(intent: &Intent) -> &'static str {
    let failure = intent.last_failure.as_ref();
    match intent.payment_method.as_deref() {
        Some("pm_card_riskLevelElevated") => "elevated",
        Some("pm_card_riskLevelHighest") => "highest",
        _ if failure.is_some_and(|it| it.decline == Decline::Fraudulent) => "highest",
        _ => "normal",
    }
}
