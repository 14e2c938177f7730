//! A stateful payment provider for demos and tests that speaks Stripe's shapes.
//!
//! Placeholder for the table.

mod books;
mod config;
mod courier;
mod currency;
mod delivery;
mod desk;
mod error;
mod fault;
mod form;
mod http;
mod id;
mod intent;
mod journal;
mod listing;
mod method;
mod object;
mod payment;
mod provider;
mod refund;
mod refunding;
mod signature;

use std::time::Duration;

use contract::Clock;
use rand::SeedableRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{Config, Secret};
pub use journal::OpenError;

use courier::Courier;
use desk::Rules;
use provider::Provider;

/// How long running requests may take to finish after the signal to stop.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Why the simulator cannot start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings contradict themselves.
    #[error("{}", .0.join("; "))]
    Config(Vec<String>),
    /// The journal cannot be opened.
    #[error("the journal cannot be opened")]
    Open(#[from] OpenError),
    /// The journal cannot be written any more.
    #[error("the journal cannot be written")]
    JournalFailed,
    /// The operating system gives no randomness.
    #[error("the operating system gives no randomness")]
    Randomness(#[source] rand::rngs::SysError),
    /// The HTTP client of the webhooks cannot be made.
    #[error("the webhook client cannot be made")]
    Webhooks(#[source] reqwest::Error),
    /// The listener failed.
    #[error("the listener failed")]
    Listener(#[source] std::io::Error),
}

/// Serves on `listener` until `shutdown`, then finishes what runs.
///
/// Returns once everything answered is on disk.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    clock: impl Clock,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let problems = config.problems();
    if !problems.is_empty() {
        return Err(ServeError::Config(problems));
    }
    let rules = rules(&config, &listener)?;
    let rng = ChaCha20Rng::try_from_rng(&mut SysRng).map_err(ServeError::Randomness)?;
    let stop = shutdown.child_token();
    let secret = config.secret.clone();
    let open_stop = stop.clone();
    // Reading a long journal blocks, so it happens off the runtime's threads.
    let provider = tokio::task::spawn_blocking(move || {
        let clock = Box::new(clock);
        Provider::open(&config.data_dir, rules, secret, clock, rng, open_stop)
            .map(|it| (it, config))
    });
    let (provider, config) = match provider.await {
        Ok(opened) => opened?,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    };
    let tasks = TaskTracker::new();
    tasks.spawn(courier::settle_until_stopped(
        provider.clone(),
        stop.clone(),
    ));
    if let Some(url) = &config.webhook_url {
        let courier = Courier::new(url, config.webhook_secret).map_err(ServeError::Webhooks)?;
        tasks.spawn(courier.run(provider.clone(), stop.clone()));
    }
    let served = serve_http(provider.clone(), listener, &stop).await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    provider.close();
    served
}

fn rules(config: &Config, listener: &TcpListener) -> Result<Rules, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Listener)?;
    let base_url = match &config.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("http://{address}"),
    };
    Ok(Rules {
        settle_delay: Duration::from_millis(config.settle_delay_ms),
        answer_hold: Duration::from_millis(config.answer_hold_ms),
        webhook_delay: Duration::from_millis(config.webhook_delay_ms),
        sends_webhooks: config.webhook_url.is_some(),
        base_url,
    })
}

async fn serve_http(
    provider: Provider,
    listener: TcpListener,
    stop: &CancellationToken,
) -> Result<(), ServeError> {
    let router = http::router(provider.clone());
    let graceful =
        axum::serve(listener, router).with_graceful_shutdown(stop.clone().cancelled_owned());
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        served = graceful => served.map_err(ServeError::Listener),
        () = provider.failed() => Err(ServeError::JournalFailed),
        () = drained => {
            tracing::warn!("http.drain_timeout: connections were cut");
            Ok(())
        }
    }
}
