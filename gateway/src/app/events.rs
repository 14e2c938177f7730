//! Where events go: from the settings to the booking core.

use std::sync::Arc;

use booking_core::{EventSink, RedisStream, WebhookConfig};

use crate::config::Config;

/// The sinks that the settings name, or what is wrong with them. Connects to nothing.
pub(super) fn sinks(config: &Config) -> Result<Vec<Arc<dyn EventSink>>, String> {
    let Some(url) = &config.events_url else {
        return Ok(Vec::new());
    };
    let roots = config.roots.as_ref().map(|roots| roots.as_pem().to_vec());
    let stream = config.events_stream.clone();
    let stream = RedisStream::open(url, stream, config.events_length_max, roots);
    let stream = stream.map_err(|why| format!("ROPELINE_EVENTS_URL: {why}"))?;
    Ok(vec![Arc::new(stream)])
}

/// Where webhooks may go.
pub(super) fn webhooks(config: &Config) -> Result<WebhookConfig, String> {
    let pem = config.ca_file.as_ref().map(std::fs::read).transpose();
    Ok(WebhookConfig {
        private_allowed: config.webhook_private_targets,
        more_roots: pem.map_err(|error| format!("the file of ROPELINE_CA_FILE: {error}"))?,
    })
}
