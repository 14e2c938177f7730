//! Secrets of this installation: configured, or generated once. Either way they are stored in the
//! data directory, readable by its owner only, where the `ropeline` command reads them.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use contract::pass::PassKey;
use data_encoding::HEXLOWER;
use line::Randomness;
use nix::unistd::AccessFlags;

use crate::config::{Config, Payment, unsendable};
use crate::signing_keys::SigningKeys;

const SIGNING_KEY_FILE: &str = "signing-key.pem";
/// The file from which the `ropeline` command reads the token.
const ADMIN_TOKEN_FILE: &str = "admin-token";
/// The file from which audits of a demo read the payment secret.
const PAYMENT_SECRET_FILE: &str = "payment-secret";
const WEBHOOK_SECRET_FILE: &str = "payment-webhook-secret";
/// The file from which the `ropeline` command reads the gateway's addresses.
const ADMIN_FILE: &str = "admin.json";
/// The file that `ropeline restore` keeps while it has not ended.
const UNFINISHED_RESTORE_FILE: &str = "restore-unfinished";

/// The secrets.
pub struct Keys {
    /// Keys for passes and places.
    pub signing: Arc<SigningKeys>,
    /// Bearer token of the operators' listener.
    pub admin_token: String,
    /// Secret key of the payment simulator.
    pub payment_secret: String,
    /// The webhook secret of the payment simulator.
    pub webhook_secret: String,
}

impl Keys {
    /// The problems with which [`Keys::load`] would fail; writes nothing.
    pub fn problems(config: &Config) -> Vec<String> {
        let dir = &config.data_dir;
        let mut problems: Vec<String> = unwritable(dir).into_iter().collect();
        let is_unusable = !problems.is_empty();
        problems.extend(unfinished_restore(dir));
        for name in [
            SIGNING_KEY_FILE,
            ADMIN_TOKEN_FILE,
            PAYMENT_SECRET_FILE,
            WEBHOOK_SECRET_FILE,
        ] {
            let path = dir.join(name);
            let problem = match std::fs::read_to_string(&path) {
                Ok(pem) if name == SIGNING_KEY_FILE && config.signing_keys.is_empty() => {
                    PassKey::from_pem(&pem).err().map(|error| error.to_string())
                }
                Ok(token) if name == ADMIN_TOKEN_FILE && config.admin_token.is_none() => {
                    unsendable(token.trim())
                        .map(|why| format!("{why}; remove the file to get a new one"))
                }
                Ok(_) => None,
                Err(error) if error.kind() == io::ErrorKind::NotFound => None,
                // Reported for the directory already.
                Err(_) if is_unusable => None,
                Err(error) => Some(error.to_string()),
            };
            problems.extend(problem.map(|why| format!("{}: {why}", path.display())));
        }
        if let Some(Err(why)) = configured_signing_keys(config) {
            problems.push(why);
        }
        problems
    }

    /// The ids of the signing keys that there are, for people, and which of them signs.
    pub fn signing_told(config: &Config) -> Option<String> {
        let keys = configured_signing_keys(config)?.ok()?;
        let told = keys.all().iter().map(|key| {
            let signs = key.kid() == keys.signer().kid();
            let does = if signs { "signs" } else { "verifies" };
            format!("{} {does}", key.kid())
        });
        Some(told.collect::<Vec<_>>().join(", "))
    }

    /// Reads the existing secrets and generates the missing ones.
    pub fn load(config: &Config, randomness: &Randomness) -> Result<Self> {
        let dir = &config.data_dir;
        if let Some(why) = unfinished_restore(dir) {
            bail!(why);
        }
        DirBuilder::new()
            .recursive(true)
            // Other users may enter the directory but not list it: under root the private servers
            // run as another user.
            .mode(0o711)
            .create(dir)
            .with_context(|| format!("could not make the data directory {}", dir.display()))?;
        let random_hex = || HEXLOWER.encode(&randomness.bytes::<24>());
        let (secret, webhook_secret) = match &config.payment {
            // No simulator is run.
            Payment::Providers(_) => (None, None),
            Payment::PrivateSimulator {
                secret,
                webhook_secret,
            } => (secret.as_deref(), webhook_secret.as_deref()),
            Payment::Simulator {
                secret,
                webhook_secret,
                ..
            } => (Some(secret.as_str()), Some(webhook_secret.as_str())),
        };
        // Configured secrets are written too, so that commands on this machine find them.
        let in_force = |file: &str, given: Option<&str>, make: &dyn Fn() -> String| match given {
            Some(text) => write_private(&dir.join(file), text).map(|()| text.to_owned()),
            None => read_or_make(&dir.join(file), make),
        };
        Ok(Self {
            signing: Arc::new(signing_keys(config, randomness)?),
            admin_token: in_force(ADMIN_TOKEN_FILE, config.admin_token.as_deref(), &random_hex)?,
            payment_secret: in_force(PAYMENT_SECRET_FILE, secret, &|| {
                format!("sk_test_{}", random_hex())
            })?,
            webhook_secret: in_force(WEBHOOK_SECRET_FILE, webhook_secret, &|| {
                format!("whsec_{}", random_hex())
            })?,
        })
    }
}

/// Why a gateway must not begin an installation of its own in `dir`: half of another one is there.
fn unfinished_restore(dir: &Path) -> Option<String> {
    let file = dir.join(UNFINISHED_RESTORE_FILE);
    file.exists().then(|| {
        format!(
            "{}: a backup was not restored to its end; run `ropeline restore` again with the same \
             backup, or remove this directory and the database to begin anew",
            file.display()
        )
    })
}

/// Why files cannot be created in `dir`, which may not exist yet; `None` if they can.
fn unwritable(dir: &Path) -> Option<String> {
    let nearest = dir.ancestors().find(|ancestor| ancestor.exists())?;
    let flags = AccessFlags::W_OK | AccessFlags::X_OK;
    let problem = nix::unistd::access(nearest, flags).err()?;
    Some(format!(
        "ROPELINE_DATA_DIR: {} cannot be used: {}: {}",
        dir.display(),
        nearest.display(),
        problem.desc()
    ))
}

/// The signing keys, as far as they are there already, or why they cannot be used as configured.
/// None where a file is not there or cannot be read.
fn configured_signing_keys(config: &Config) -> Option<Result<SigningKeys, String>> {
    let generated = [config.data_dir.join(SIGNING_KEY_FILE)];
    let files = if config.signing_keys.is_empty() {
        &generated[..]
    } else {
        &config.signing_keys[..]
    };
    let keys = files.iter().map(|file| read_key(file).ok());
    let keys = SigningKeys::new(keys.collect::<Option<_>>()?, config.signer());
    Some(keys.map_err(|why| format!("ROPELINE_SIGNING_KEY_ID: {why}")))
}

fn read_key(file: &Path) -> Result<PassKey> {
    let pem = std::fs::read_to_string(file)
        .with_context(|| format!("could not read {}", file.display()))?;
    PassKey::from_pem(&pem).with_context(|| format!("{}", file.display()))
}

fn signing_keys(config: &Config, randomness: &Randomness) -> Result<SigningKeys> {
    let named = "ROPELINE_SIGNING_KEY_ID";
    if !config.signing_keys.is_empty() {
        let keys: Result<_> = config
            .signing_keys
            .iter()
            .map(|file| read_key(file))
            .collect();
        return SigningKeys::new(keys?, config.signer()).context(named);
    }
    let path = config.data_dir.join(SIGNING_KEY_FILE);
    let fresh = PassKey::from_seed(randomness.bytes())?.to_pem()?;
    let pem = read_or_make(&path, || fresh.trim().to_owned())?;
    let key = PassKey::from_pem(&pem).with_context(|| format!("{}", path.display()))?;
    SigningKeys::new(vec![key], config.signer()).context(named)
}

/// The content of the file; if there is no file, the text that `make` returns, after writing it.
fn read_or_make(path: &Path, make: impl FnOnce() -> String) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => return Ok(text.trim().to_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("could not read {}", path.display()));
        }
    }
    let text = make();
    // `create_new` fails if the file exists, so two processes that start at once cannot keep two
    // different secrets.
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

/// Writes `text` atomically, readable by the owner only: a concurrent reader finds either the old
/// or the new text.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> io::Result<()> {
        // A file left by a crash may have a wider mode.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&beside)?;
        writeln!(file, "{text}")?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("could not write {}", path.display()))
}

/// Writes the addresses for the `ropeline` command on this machine.
pub fn announce(
    dir: &Path,
    public_url: &str,
    listen_url: &str,
    (ops_url, ops_certificate): (&str, Option<&Path>),
) -> Result<()> {
    let announcement = serde_json::json!({
        "publicUrl": public_url,
        "listenUrl": listen_url,
        "opsUrl": ops_url,
        "opsCertificate": ops_certificate,
        "pid": std::process::id(),
    });
    let path = dir.join(ADMIN_FILE);
    std::fs::write(&path, format!("{announcement}\n"))
        .with_context(|| format!("could not write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Asked, Command};
    use clap::Parser;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_written_for_its_owner_only_and_replaces_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(ADMIN_TOKEN_FILE);
        let made = read_or_make(&path, || "made".to_owned()).unwrap();
        assert_eq!(made, "made");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, "given").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "given\n");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        // The secret stays when it is no longer configured.
        assert_eq!(read_or_make(&path, || "new".to_owned()).unwrap(), "given");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn half_of_a_restored_backup_is_not_taken_for_a_new_installation() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(UNFINISHED_RESTORE_FILE), "").unwrap();
        let path = dir.path().to_str().unwrap();
        let command = ["ropeline-gateway", "--data-dir", path];
        let settled = Command::try_parse_from(command).unwrap().settle();
        let Ok(Asked::Run(config)) = settled.outcome else {
            panic!("refused")
        };
        let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(1));
        let refused = Keys::load(&config, &randomness).err().unwrap();
        assert!(
            refused.to_string().contains("ropeline restore"),
            "{refused}"
        );
        assert!(Keys::problems(&config)[0].contains("ropeline restore"));
        assert!(!dir.path().join(SIGNING_KEY_FILE).exists());
        fs::remove_file(dir.path().join(UNFINISHED_RESTORE_FILE)).unwrap();
        Keys::load(&config, &randomness).unwrap();
    }

    #[test]
    fn configured_secrets_are_where_the_commands_look_for_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_str().unwrap();
        let given = ["--admin-token", "short", "--payment-secret", "sk_given"];
        let command = ["ropeline-gateway", "--data-dir", path]
            .into_iter()
            .chain(given);
        let settled = Command::try_parse_from(command).unwrap().settle();
        let Ok(Asked::Run(config)) = settled.outcome else {
            panic!("refused")
        };
        let randomness = Randomness::new(ChaCha20Rng::seed_from_u64(1));
        let keys = Keys::load(&config, &randomness).unwrap();
        assert_eq!(
            (keys.admin_token.as_str(), keys.payment_secret.as_str()),
            ("short", "sk_given")
        );
        let read = |file: &str| fs::read_to_string(dir.path().join(file)).unwrap();
        assert_eq!(read(ADMIN_TOKEN_FILE), "short\n");
        assert_eq!(read(PAYMENT_SECRET_FILE), "sk_given\n");
        assert_eq!(read(WEBHOOK_SECRET_FILE).trim(), keys.webhook_secret);
    }
}
