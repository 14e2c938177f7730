//! Whether money is of a kind that a coupon is for. Pure.

use contract::coupon::PaymentKind;

/// Whether a payment of the kind `paid` is one of `accepted`, of which none means all. What the
/// provider does not tell is not of any kind that is named.
pub(crate) fn is_accepted(accepted: &[PaymentKind], paid: Option<&PaymentKind>) -> bool {
    let covers = |asked: &PaymentKind| paid.is_some_and(|paid| covers(asked, paid));
    accepted.is_empty() || accepted.iter().any(covers)
}

/// Whether all that is asked for is so.
fn covers(asked: &PaymentKind, paid: &PaymentKind) -> bool {
    let is_so = |asked: Option<&String>, paid: Option<&String>| {
        asked.is_none_or(|asked| paid.is_some_and(|paid| plain(asked) == plain(paid)))
    };
    plain(&asked.method) == plain(&paid.method)
        && is_so(asked.network.as_ref(), paid.network.as_ref())
        && is_so(asked.funding.as_ref(), paid.funding.as_ref())
        && is_so(asked.issuer.as_ref(), paid.issuer.as_ref())
}

/// Letters and digits alone, in lower case, with one word for what providers call differently.
pub(crate) fn plain(text: &str) -> String {
    let letters = text.chars().filter(|it| it.is_alphanumeric());
    let text: String = letters.flat_map(char::to_lowercase).collect();
    match text.as_str() {
        "americanexpress" => "amex".to_owned(),
        "dinersclub" => "diners".to_owned(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(text: &str) -> PaymentKind {
        let mut parts = text
            .split(' ')
            .map(|part| (part != "-").then(|| part.to_owned()));
        PaymentKind {
            method: parts.next().flatten().unwrap_or_default(),
            network: parts.next().flatten(),
            funding: parts.next().flatten(),
            issuer: parts.next().flatten(),
        }
    }

    #[test]
    fn money_is_of_a_kind_if_all_that_is_named_is_so() {
        for (accepted, paid, fits) in [
            (vec![], "upi", true),
            (vec!["card"], "card Visa credit HDFC", true),
            (vec!["Card - - hdfc"], "card Visa credit HDFC", true),
            (vec!["card - - HDFC"], "card Visa credit ICIC", false),
            (vec!["card - - HDFC"], "card visa credit -", false),
            (vec!["card visa debit"], "card visa credit HDFC", false),
            (vec!["card visa debit"], "card mastercard debit HDFC", false),
            (vec!["card visa debit", "upi"], "upi", true),
            (vec!["card visa debit", "upi"], "wallet", false),
            (vec!["netbanking - - HDFC"], "card - - HDFC", false),
            (vec!["card amex"], "card American-Express credit -", true),
        ] {
            let accepted: Vec<PaymentKind> = accepted.into_iter().map(kind).collect();
            let found = is_accepted(&accepted, Some(&kind(paid)));
            assert_eq!(found, fits, "{accepted:?} {paid}");
        }
        assert!(is_accepted(&[], None));
        assert!(!is_accepted(&[kind("card")], None));
    }
}
