//! The certificate that the gateway gets by itself.

use anyhow::Result;
use line::store::redis::Roots;
use tokio_util::task::TaskTracker;

use super::surroundings::Surroundings;
use crate::acme::Wanted;
use crate::acme::keeper::Keeper;
use crate::acme::kept::Kept;
use crate::acme::schedule::Pace;
use crate::config::{CertificateSource, Config};
use crate::edge::tls::Shown;
use crate::front::BesideTls;

/// What is answered beside TLS, to which people are sent with the certificate of `redirects`.
pub(super) fn beside_tls(config: &Config, redirects: Option<Shown>) -> BesideTls {
    let wanted = wanted(config);
    BesideTls {
        redirects,
        challenges: wanted.map(|wanted| Kept::at(wanted.kept_in.clone()).challenges()),
    }
}

/// Orders certificates from now on, where any are wanted.
pub(super) fn start(
    config: &Config,
    surroundings: &Surroundings,
    tasks: &TaskTracker,
) -> Result<()> {
    let Some(wanted) = wanted(config) else {
        return Ok(());
    };
    let trusted = config.roots.as_ref().map(Roots::as_pem).unwrap_or_default();
    let keeper = Keeper::new(
        wanted.clone(),
        trusted,
        Pace::PUBLIC,
        surroundings.clock.clone(),
        surroundings.randomness.clone(),
    )?;
    tasks.spawn(keeper.run(surroundings.stop.clone()));
    Ok(())
}

fn wanted(config: &Config) -> Option<&Wanted> {
    match &config.tls.as_ref()?.source {
        CertificateSource::Acme(wanted) => Some(wanted),
        CertificateSource::Files(_) => None,
    }
}
