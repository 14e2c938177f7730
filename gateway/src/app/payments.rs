//! Where customers pay: from the settings to the booking core.

use anyhow::{Context, Result};
use booking_core::{PaymentApi, PaymentConfig};
use embedded::payment_simulator::{PaymentSimulator, SimulatorSettings};

use crate::config::{Config, Payment, Provider, ProviderKind};
use crate::keys::Keys;

/// The payment providers, the preferred first, and the private simulator if it is one of them: it
/// has its address, and is started when the first show exists.
pub(super) fn prepare(
    config: &Config,
    keys: &Keys,
    listen_url: &str,
) -> Result<(Vec<PaymentConfig>, Option<PaymentSimulator>)> {
    let more_roots = config.ca_file.as_ref().map(std::fs::read).transpose();
    let more_roots = more_roots.context("could not read the file of ROPELINE_CA_FILE")?;
    let (payment, simulator) = match &config.payment {
        Payment::Providers(providers) => {
            let of = |provider| provider_config(provider, more_roots.clone());
            return Ok((providers.iter().map(of).collect(), None));
        }
        Payment::Simulator {
            url,
            secret,
            webhook_secret,
        } => (PaymentConfig::simulator(url, secret, webhook_secret), None),
        Payment::PrivateSimulator { .. } => {
            let simulator = private_simulator(config, keys, listen_url)?;
            let (url, secret) = (simulator.url(), &keys.payment_secret);
            let payment = PaymentConfig::simulator(url, secret, &keys.webhook_secret);
            (payment, Some(simulator))
        }
    };
    let payment = PaymentConfig {
        more_roots,
        ..payment
    };
    Ok((vec![payment], simulator))
}

fn provider_config(provider: &Provider, more_roots: Option<Vec<u8>>) -> PaymentConfig {
    PaymentConfig {
        provider: provider.name.to_owned(),
        api: match provider.kind {
            ProviderKind::StripeCheckout => PaymentApi::StripeCheckout,
            ProviderKind::StripeIntents => PaymentApi::StripeIntents,
            ProviderKind::Razorpay => PaymentApi::Razorpay,
        },
        url: provider.url.clone(),
        secret: provider.secret.clone(),
        webhook_secrets: provider.webhook_secrets.clone(),
        more_roots,
    }
}

fn private_simulator(config: &Config, keys: &Keys, listen_url: &str) -> Result<PaymentSimulator> {
    let settings = SimulatorSettings {
        data_dir: config.data_dir.join("payment-simulator"),
        secret: keys.payment_secret.clone(),
        webhook_secret: keys.webhook_secret.clone(),
        // The local address, because the public URL may need TLS or may not resolve on this
        // machine.
        webhook_url: Some(format!("{listen_url}/api/v1/payments/simulator/webhook")),
        program: None,
    };
    PaymentSimulator::prepare(settings).context("could not prepare the payment simulator")
}
