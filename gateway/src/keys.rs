//! Secrets of this installation: read from where the configuration says, else generated once in
//! the data directory, readable by the owner only.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use contract::pass::PassKey;
use data_encoding::HEXLOWER;

use crate::config::Config;
use crate::line::Randomness;

const SIGNING_KEY_FILE: &str = "signing-key.pem";
/// Where the `ropeline` command looks for the token.
const ADMIN_TOKEN_FILE: &str = "admin-token";
/// Where audits of a demo look for it.
const PAYMENT_SECRET_FILE: &str = "payment-secret";
const WEBHOOK_SECRET_FILE: &str = "payment-webhook-secret";
/// Tells the `ropeline` command where this gateway listens.
const ADMIN_FILE: &str = "admin.json";

/// The secrets.
pub struct Keys {
    /// The first signs passes, all verify.
    pub signing: Vec<PassKey>,
    /// Bearer token of the operators' listener.
    pub admin_token: String,
    /// Secret key of a private payment simulator.
    pub payment_secret: String,
    /// Its webhook secret.
    pub webhook_secret: String,
}

impl Keys {
    /// Reads what is there and generates the rest.
    pub fn load(config: &Config, randomness: &Randomness) -> Result<Self> {
        let dir = &config.data_dir;
        DirBuilder::new()
            .recursive(true)
            // Others may pass through, not look: as root the private servers run as another user.
            .mode(0o711)
            .create(dir)
            .with_context(|| format!("could not make the data directory {}", dir.display()))?;
        let random_hex = || HEXLOWER.encode(&randomness.bytes::<24>());
        let admin_token = match &config.admin_token {
            Some(token) => token.clone(),
            None => read_or_make(&dir.join(ADMIN_TOKEN_FILE), random_hex)?,
        };
        Ok(Self {
            signing: signing_keys(config, randomness)?,
            admin_token,
            payment_secret: read_or_make(&dir.join(PAYMENT_SECRET_FILE), || {
                format!("sk_test_{}", random_hex())
            })?,
            webhook_secret: read_or_make(&dir.join(WEBHOOK_SECRET_FILE), || {
                format!("whsec_{}", random_hex())
            })?,
        })
    }
}

fn signing_keys(config: &Config, randomness: &Randomness) -> Result<Vec<PassKey>> {
    if !config.signing_keys.is_empty() {
        let read = |file: &std::path::PathBuf| -> Result<PassKey> {
            let pem = std::fs::read_to_string(file)
                .with_context(|| format!("could not read {}", file.display()))?;
            PassKey::from_pem(&pem).with_context(|| format!("{}", file.display()))
        };
        return config.signing_keys.iter().map(read).collect();
    }
    let path = config.data_dir.join(SIGNING_KEY_FILE);
    let fresh = PassKey::from_seed(randomness.bytes())?.to_pem()?;
    let pem = read_or_make(&path, || fresh.trim().to_owned())?;
    let key = PassKey::from_pem(&pem).with_context(|| format!("{}", path.display()))?;
    Ok(vec![key])
}

/// The content of the file, or what `make` gives, written to it first.
fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    }
    let text = make();
    // Created anew, so that two processes that start at once do not end up with two secrets.
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("could not write {}", path.display()))?;
    writeln!(file, "{text}")?;
    file.sync_all()?;
    Ok(text)
}

/// Tells the `ropeline` command on this machine where we listen.
pub fn announce(dir: &Path, public_url: &str, ops_url: &str) -> Result<()> {
    let announcement = serde_json::json!({
        "publicUrl": public_url,
        "opsUrl": ops_url,
        "pid": std::process::id(),
    });
    let path = dir.join(ADMIN_FILE);
    std::fs::write(&path, format!("{announcement}\n"))
        .with_context(|| format!("could not write {}", path.display()))
}
