//! Where customers pay, from the settings.

use super::checked::{Payment, Provider, ProviderKind};
use super::settings::Settings;

/// What a payment simulator that was started on its own takes when it is told nothing.
pub(super) const SIMULATOR_SECRET: &str = "sk_test_ropeline";
/// What it signs its webhooks with then.
pub(super) const SIMULATOR_WEBHOOK_SECRET: &str = "whsec_ropeline";
/// Where Stripe's API is.
const STRIPE_URL: &str = "https://api.stripe.com";
/// Where Razorpay's API is.
const RAZORPAY_URL: &str = "https://api.razorpay.com";

/// Where customers pay, as far as the settings say it; what is wrong with them is noted.
pub(super) fn read(
    settings: &Settings,
    note: &mut impl FnMut(String),
    warnings: &mut Vec<String>,
) -> Payment {
    let names = settings.payment_provider.as_deref().unwrap_or("simulator");
    let names: Vec<&str> = names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect();
    for (at, name) in names.iter().enumerate() {
        if !["simulator", "stripe", "razorpay"].contains(name) {
            note(format!(
                "ROPELINE_PAYMENT_PROVIDER: `{name}` is not one of simulator, stripe, razorpay"
            ));
        } else if names[..at].contains(name) {
            note(format!(
                "ROPELINE_PAYMENT_PROVIDER: `{name}` is named twice"
            ));
        }
    }
    if names.contains(&"simulator") && names.len() > 1 {
        note(
            "ROPELINE_PAYMENT_PROVIDER: the simulator stands alone; to try several providers, \
             point ROPELINE_STRIPE_URL and ROPELINE_RAZORPAY_URL at a simulator"
                .to_owned(),
        );
    }
    if !names
        .iter()
        .any(|name| ["stripe", "razorpay"].contains(name))
    {
        return simulator(settings, warnings);
    }
    let mut providers = Vec::new();
    for name in &names {
        let given = match *name {
            "stripe" => Given {
                name: "stripe",
                prefix: "ROPELINE_STRIPE",
                kind: stripe_page(settings.stripe_page.as_deref(), note),
                url: settings.stripe_url.as_deref(),
                url_default: STRIPE_URL,
                secret: settings.stripe_secret.as_deref(),
                webhook_secret: settings.stripe_webhook_secret.as_deref(),
            },
            "razorpay" => Given {
                name: "razorpay",
                prefix: "ROPELINE_RAZORPAY",
                kind: ProviderKind::Razorpay,
                url: settings.razorpay_url.as_deref(),
                url_default: RAZORPAY_URL,
                secret: settings.razorpay_secret.as_deref(),
                webhook_secret: settings.razorpay_webhook_secret.as_deref(),
            },
            _ => continue,
        };
        // The names without a provider in them mean the only one.
        let given = if names.len() == 1 {
            Given {
                url: given.url.or(settings.payment_url.as_deref()),
                secret: given.secret.or(settings.payment_secret.as_deref()),
                webhook_secret: given
                    .webhook_secret
                    .or(settings.payment_webhook_secret.as_deref()),
                ..given
            }
        } else {
            given
        };
        providers.push(given.checked(note, warnings));
    }
    Payment::Providers(providers)
}

/// The settings of one provider, as given.
struct Given<'a> {
    name: &'static str,
    prefix: &'static str,
    kind: ProviderKind,
    url: Option<&'a str>,
    url_default: &'a str,
    secret: Option<&'a str>,
    webhook_secret: Option<&'a str>,
}

impl Given<'_> {
    fn checked(self, note: &mut impl FnMut(String), warnings: &mut Vec<String>) -> Provider {
        let (name, prefix) = (self.name, self.prefix);
        let secret = self.secret.map(str::trim).unwrap_or_default();
        if secret.is_empty() {
            note(format!("{prefix}_SECRET: {name} needs a secret key"));
        } else if self.kind == ProviderKind::Razorpay {
            let parts = secret.split_once(':');
            if !parts.is_some_and(|(key, secret)| !key.is_empty() && !secret.is_empty()) {
                note(format!(
                    "{prefix}_SECRET: write the key id and the key secret with a colon between \
                     them, as rzp_live_…:…"
                ));
            }
        } else if secret.starts_with("pk_") {
            note(format!(
                "{prefix}_SECRET: this is a public key; a secret one begins with sk_"
            ));
        }
        let webhook_secrets: Vec<String> = self
            .webhook_secret
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .filter(|secret| !secret.is_empty())
            .map(str::to_owned)
            .collect();
        if webhook_secrets.is_empty() {
            note(format!(
                "{prefix}_WEBHOOK_SECRET: {name} signs its webhooks with a secret, which has to be \
                 known here"
            ));
        }
        let url = self.url.unwrap_or(self.url_default).trim_end_matches('/');
        if let Some(host) = url.strip_prefix("http://")
            && !["127.0.0.1", "localhost", "[::1]"]
                .iter()
                .any(|local| host.starts_with(local))
        {
            warnings.push(format!(
                "{prefix}_URL begins with http://: whoever is on the way reads the secret key"
            ));
        }
        Provider {
            name,
            kind: self.kind,
            url: url.to_owned(),
            secret: secret.to_owned(),
            webhook_secrets,
        }
    }
}

fn stripe_page(given: Option<&str>, note: &mut impl FnMut(String)) -> ProviderKind {
    match given.map(str::trim) {
        None | Some("checkout") => ProviderKind::StripeCheckout,
        Some("intents") => ProviderKind::StripeIntents,
        Some(other) => {
            note(format!(
                "ROPELINE_STRIPE_PAGE: `{other}` is not one of checkout, intents"
            ));
            ProviderKind::StripeCheckout
        }
    }
}

fn simulator(settings: &Settings, warnings: &mut Vec<String>) -> Payment {
    let secret = settings.payment_secret.clone();
    let webhook_secret = settings.payment_webhook_secret.clone();
    let Some(url) = &settings.payment_url else {
        if settings.database_url.is_some() {
            warnings.push(
                "ROPELINE_PAYMENT_URL is not set: this gateway pays at a private simulator, of \
                 which other gateways on the same database know nothing"
                    .to_owned(),
            );
        }
        if settings
            .proxy_protocol
            .as_deref()
            .is_some_and(|it| it != "off")
        {
            warnings.push(
                "ROPELINE_PROXY_PROTOCOL: the private simulator speaks no PROXY protocol, so its \
                 webhooks do not arrive and payments are found later; set ROPELINE_PAYMENT_URL, or a \
                 provider"
                    .to_owned(),
            );
        }
        return Payment::PrivateSimulator {
            secret,
            webhook_secret,
        };
    };
    for (name, given) in [
        ("ROPELINE_PAYMENT_SECRET", secret.is_some()),
        ("ROPELINE_PAYMENT_WEBHOOK_SECRET", webhook_secret.is_some()),
    ] {
        if !given {
            warnings.push(format!(
                "{name} is not set: the one that a simulator takes by default is used, and \
                 everyone knows it"
            ));
        }
    }
    Payment::Simulator {
        url: url.trim_end_matches('/').to_owned(),
        secret: secret.unwrap_or_else(|| SIMULATOR_SECRET.to_owned()),
        webhook_secret: webhook_secret.unwrap_or_else(|| SIMULATOR_WEBHOOK_SECRET.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(pairs: &[(&str, &str)]) -> Settings {
        let mut table = toml::Table::new();
        for (name, text) in pairs {
            table.insert((*name).to_owned(), toml::Value::String((*text).to_owned()));
        }
        Settings::from_table(table, &mut |problem| panic!("{problem}"))
    }

    fn read_all(pairs: &[(&str, &str)]) -> (Payment, Vec<String>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let payment = read(&settings(pairs), &mut |p| problems.push(p), &mut warnings);
        problems.extend(warnings);
        (payment, problems)
    }

    #[test]
    fn a_private_simulator_behind_proxies_is_warned_about() {
        let told = |versions: &str| read_all(&[("proxy_protocol", versions)]).1;
        assert_eq!(told("off"), Vec::<String>::new());
        let warned = told("v1v2");
        assert!(warned.len() == 1 && warned[0].starts_with("ROPELINE_PROXY_PROTOCOL"));
    }

    #[test]
    fn several_providers_stand_in_the_order_of_preference() {
        let (payment, problems) = read_all(&[
            ("payment_provider", "razorpay, stripe"),
            ("stripe_secret", "sk_live_1"),
            ("stripe_webhook_secret", "whsec_new, whsec_old"),
            ("razorpay_url", "https://pay.test/razorpay/"),
            ("razorpay_secret", "rzp_live_1:s"),
            ("razorpay_webhook_secret", "w"),
            // Names the only provider, and there are two.
            ("payment_secret", "sk_other"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let Payment::Providers(providers) = payment else {
            panic!("no providers")
        };
        let told: Vec<_> = providers
            .iter()
            .map(|it| (it.name, it.kind, it.url.as_str(), it.secret.as_str()))
            .collect();
        let expected = [
            (
                "razorpay",
                ProviderKind::Razorpay,
                "https://pay.test/razorpay",
                "rzp_live_1:s",
            ),
            (
                "stripe",
                ProviderKind::StripeCheckout,
                STRIPE_URL,
                "sk_live_1",
            ),
        ];
        assert_eq!(told, expected);
        assert_eq!(providers[1].webhook_secrets, ["whsec_new", "whsec_old"]);
    }

    #[test]
    fn the_short_names_mean_the_only_provider() {
        let (payment, problems) = read_all(&[
            ("payment_provider", "stripe"),
            ("payment_url", "http://127.0.0.1:4242"),
            ("payment_secret", "sk_test"),
            ("payment_webhook_secret", "w"),
            ("stripe_page", "intents"),
        ]);
        assert!(problems.is_empty(), "{problems:?}");
        let Payment::Providers(providers) = payment else {
            panic!("no providers")
        };
        assert_eq!(providers[0].url, "http://127.0.0.1:4242");
        assert_eq!(providers[0].secret, "sk_test");
        assert_eq!(providers[0].kind, ProviderKind::StripeIntents);
    }

    #[test]
    fn what_cannot_work_is_told() {
        for (pairs, word) in [
            (
                vec![("payment_provider", "stripe,simulator")],
                "stands alone",
            ),
            (vec![("payment_provider", "stripe,stripe")], "named twice"),
            (vec![("payment_provider", "paypal")], "not one of"),
            (
                vec![("payment_provider", "stripe")],
                "ROPELINE_STRIPE_SECRET",
            ),
            (
                vec![("payment_provider", "razorpay")],
                "ROPELINE_RAZORPAY_WEBHOOK_SECRET",
            ),
            (
                vec![
                    ("payment_provider", "razorpay"),
                    ("razorpay_secret", "rzp_live_1"),
                ],
                "colon",
            ),
            (
                vec![
                    ("payment_provider", "stripe"),
                    ("stripe_secret", "pk_live_1"),
                ],
                "public key",
            ),
            (
                vec![("payment_provider", "stripe"), ("stripe_page", "mine")],
                "ROPELINE_STRIPE_PAGE",
            ),
            (
                vec![
                    ("payment_provider", "stripe"),
                    ("stripe_url", "http://pay.test"),
                ],
                "whoever is on the way",
            ),
        ] {
            let (_, problems) = read_all(&pairs);
            assert!(
                problems.iter().any(|it| it.contains(word)),
                "{word}: {problems:?}"
            );
        }
    }
}
