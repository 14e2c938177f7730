//! Where tickets go: from the settings to the booking core.

use booking_core::TicketStoreConfig;

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

/// What works and is not wise.
pub fn warnings(config: &Config) -> Vec<String> {
    let store = ticket_store(config);
    store.map_or_else(|_| Vec::new(), |store| store.warnings())
}
