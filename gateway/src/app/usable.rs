//! Whether a gateway can start with a configuration.

use embedded::{Servers, Want};
use line::records;
use line::store::redis::RedisAddress;

use super::{events, mail, tickets};
use crate::config::{Config, Problems};
use crate::keys::Keys;

/// Whether a gateway can start with this configuration, without writing anything or connecting to
/// anything. Reads everything that the start reads, so that `check` and the start agree.
pub fn usable(config: &Config) -> Result<(), Problems> {
    let mut problems = Keys::problems(config);
    if let Some(url) = &config.redis_url
        && let Err(error) = RedisAddress::read(url, config.roots.as_ref())
    {
        problems.push(format!("ROPELINE_REDIS_URL: {error}"));
    }
    if let Some(url) = &config.database_url
        && let Err(error) = records::connect_options(url)
    {
        problems.push(format!("ROPELINE_DATABASE_URL: {error}"));
    }
    // Where fans reach the gateway is not known yet, and only names it to the mail server.
    if let Err(found) = mail::mail_config(config, "http://localhost") {
        problems.extend(found);
    }
    problems.extend(events::sinks(config).err());
    if let Err(problem) = mail::channels_config(config) {
        problems.push(problem);
    }
    problems.extend(tickets::ticket_store(config).err());
    if let Err(found) = tickets::wallets(config) {
        problems.extend(found);
    }
    let missing = Servers::missing_programs(&config.data_dir.join("servers"), wanted(config));
    problems.extend(missing.iter().map(ToString::to_string));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(Problems(problems))
    }
}

/// Which servers to run as private child processes.
pub(super) fn wanted(config: &Config) -> Want {
    Want {
        redis: config.redis_url.is_none(),
        postgres: config.database_url.is_none(),
    }
}
