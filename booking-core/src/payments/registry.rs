//! The configured payment providers, by name and in the order of preference.

use std::sync::Arc;

use super::http_client::ClientError;
use super::lane::Lane;
use super::orchestration::{Standing, choose};
use super::provider::{PaymentProvider, ProviderError};
use super::razorpay::Razorpay;
use super::stripe::Stripe;
use crate::config::{PaymentApi, PaymentConfig};

/// The configured providers. A payment stays with the one that its row names.
pub(crate) struct Providers(Vec<Arc<Lane>>);

impl Providers {
    /// The clients of the configured providers.
    pub(crate) fn of(configs: &[PaymentConfig]) -> Result<Self, ClientError> {
        let client = |config: &PaymentConfig| {
            let provider: Arc<dyn PaymentProvider> = match config.api {
                PaymentApi::Simulator | PaymentApi::StripeCheckout | PaymentApi::StripeIntents => {
                    Arc::new(Stripe::new(config)?)
                }
                PaymentApi::Razorpay => Arc::new(Razorpay::new(config)?),
            };
            Ok((config.provider.clone(), provider))
        };
        let providers: Result<Vec<_>, ClientError> = configs.iter().map(client).collect();
        Ok(Self::new(providers?))
    }

    /// These providers, the preferred first.
    pub(crate) fn new(providers: Vec<(String, Arc<dyn PaymentProvider>)>) -> Self {
        let lane = |(name, provider)| Arc::new(Lane::new(name, provider));
        Self(providers.into_iter().map(lane).collect())
    }

    /// The provider of a payment.
    pub(crate) fn named(&self, name: &str) -> Result<&Lane, ProviderError> {
        self.find(name)
            .ok_or_else(|| ProviderError::NotConfigured(name.to_owned()))
    }

    /// The provider with this name, if it is configured.
    pub(crate) fn find(&self, name: &str) -> Option<&Lane> {
        self.iter().find(|lane| lane.name() == name)
    }

    /// All of them, the preferred first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Lane> {
        self.0.iter().map(Arc::as_ref)
    }

    /// Their names, the preferred first.
    pub(crate) fn names(&self) -> Vec<String> {
        self.iter().map(|lane| lane.name().to_owned()).collect()
    }

    /// The provider that a new attempt asks, of those that are not in `tried`.
    pub(crate) fn next(&self, tried: &[String]) -> Option<&Lane> {
        let order: Vec<_> = self
            .iter()
            .map(|lane| (lane.name(), lane.standing()))
            .collect();
        choose(&order, tried).and_then(|name| self.find(name))
    }

    /// Whether no customer can pay at the moment: the breakers of all are open.
    pub(crate) fn are_all_open(&self) -> bool {
        self.iter().all(|lane| lane.standing() == Standing::Open)
    }

    /// The origins of all pages on which customers pay.
    pub(crate) fn page_origins(&self) -> Vec<String> {
        let mut origins = Vec::new();
        for origin in self.iter().flat_map(Lane::page_origins) {
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        origins
    }
}
