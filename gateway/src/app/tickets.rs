//! Where tickets go: from the settings to the booking core.

use std::path::Path;

use booking_core::{AppleWallet, GoogleWallet, TicketStoreConfig, WalletConfig};
use contract::{Clock, SystemClock};

use crate::config::Config;

/// The store of PDFs, or what is wrong with its settings.
pub(super) fn ticket_store(config: &Config) -> Result<TicketStoreConfig, String> {
    let settings = &config.tickets;
    let pem = config.ca_file.as_ref().map(std::fs::read).transpose();
    let pem = pem.map_err(|error| format!("the file of ROPELINE_CA_FILE: {error}"))?;
    let (store, endpoint) = (
        settings.store.as_deref(),
        settings.store_endpoint.as_deref(),
    );
    TicketStoreConfig::read(store, endpoint, &config.data_dir, pem)
        .map_err(|why| format!("ROPELINE_TICKET_STORE: {why}"))
}

/// The wallets that are offered, or everything that is wrong with their settings.
pub(super) fn wallets(config: &Config) -> Result<WalletConfig, Vec<String>> {
    match (apple(config), google(config)) {
        (Ok(apple), Ok(google)) => Ok(WalletConfig { apple, google }),
        (apple, google) => Err(apple.err().into_iter().chain(google.err()).collect()),
    }
}

fn apple(config: &Config) -> Result<Option<AppleWallet>, String> {
    let settings = &config.tickets;
    let (certificates, key) = match (&settings.apple_cert, &settings.apple_key) {
        (None, None) => return Ok(None),
        (Some(certificates), Some(key)) => (certificates, key),
        (Some(_), None) => {
            return Err("ROPELINE_APPLE_PASS_CERT: ROPELINE_APPLE_PASS_KEY is missing".to_owned());
        }
        (None, Some(_)) => {
            return Err("ROPELINE_APPLE_PASS_KEY: ROPELINE_APPLE_PASS_CERT is missing".to_owned());
        }
    };
    let certificates = file("ROPELINE_APPLE_PASS_CERT", certificates)?;
    let key = file("ROPELINE_APPLE_PASS_KEY", key)?;
    let read = AppleWallet::read(&certificates, &key);
    read.map(Some)
        .map_err(|why| format!("ROPELINE_APPLE_PASS_CERT: {why}"))
}

fn google(config: &Config) -> Result<Option<GoogleWallet>, String> {
    let settings = &config.tickets;
    let (issuer, account) = match (&settings.google_issuer, &settings.google_account) {
        (None, None) => return Ok(None),
        (Some(issuer), Some(account)) => (issuer, account),
        (Some(_), None) => {
            return Err(
                "ROPELINE_GOOGLE_WALLET_ISSUER: ROPELINE_GOOGLE_WALLET_ACCOUNT is missing"
                    .to_owned(),
            );
        }
        (None, Some(_)) => {
            return Err(
                "ROPELINE_GOOGLE_WALLET_ACCOUNT: ROPELINE_GOOGLE_WALLET_ISSUER is missing"
                    .to_owned(),
            );
        }
    };
    let account = file("ROPELINE_GOOGLE_WALLET_ACCOUNT", account)?;
    let read = GoogleWallet::read(issuer, &account);
    read.map(Some)
        .map_err(|why| format!("ROPELINE_GOOGLE_WALLET_ACCOUNT: {why}"))
}

fn file(setting: &str, path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{setting}: {}: {error}", path.display()))
}

/// What works and is not wise.
pub fn warnings(config: &Config) -> Vec<String> {
    let store = ticket_store(config).map(|store| store.warnings());
    let apple = apple(config).ok().flatten();
    let ended = apple.and_then(|apple| apple.warning(SystemClock.now()));
    let ended = ended.map(|why| format!("ROPELINE_APPLE_PASS_CERT: {why}"));
    store.unwrap_or_default().into_iter().chain(ended).collect()
}
