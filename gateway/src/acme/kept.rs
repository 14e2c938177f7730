//! The directory with the account, the certificate and the answers to challenges.
//!
//! Everything in it is for its owner only. The certificate and its key are one file, so that they
//! are exchanged in one step; what they were ordered for is its first line.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use instant_acme::AccountCredentials;
use serde::{Deserialize, Serialize};

use super::Wanted;
use super::challenges::{Challenges, is_token};
use super::schedule::{Failures, Validity};
use crate::edge::certificate::{self, Fault, PairFiles};
use crate::keys::write_private;

const ACCOUNT: &str = "account.json";
const CERTIFICATE: &str = "certificate.pem";
const FAILURES: &str = "failures.json";
const LEAD: &str = "lead";
const CHALLENGES: &str = "challenges";

/// The directory.
#[derive(Clone, Debug)]
pub struct Kept(PathBuf);

/// The right to order: one process has it.
#[derive(Debug)]
pub struct Lead(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// What something was ordered for.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Purpose {
    directory: String,
    domains: Vec<String>,
}

impl Purpose {
    fn of(wanted: &Wanted) -> Self {
        let mut domains = wanted.domains.clone();
        domains.sort();
        Self {
            directory: wanted.directory.clone(),
            domains,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct KeptAccount {
    directory: String,
    credentials: AccountCredentials,
}

#[derive(Serialize, Deserialize)]
struct KeptFailures {
    purpose: Purpose,
    failures: Failures,
}

impl Kept {
    /// The directory at `path`, which need not exist.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The file with the certificate and its key.
    pub fn files(&self) -> PairFiles {
        let file = self.0.join(CERTIFICATE);
        PairFiles {
            cert: file.clone(),
            key: file,
        }
    }

    /// What answers challenges from here.
    pub fn challenges(&self) -> Challenges {
        Challenges::at(self.0.join(CHALLENGES))
    }

    /// Takes the right to order, if nobody has it.
    pub fn lead(&self) -> Result<Option<Lead>> {
        for directory in [&self.0, &self.0.join(CHALLENGES)] {
            let mut made = DirBuilder::new();
            let made = made.recursive(true).mode(0o700).create(directory);
            made.with_context(|| format!("could not make {}", directory.display()))?;
        }
        let path = self.0.join(LEAD);
        let mut opened = OpenOptions::new();
        let opened = opened.write(true).create(true).truncate(false).mode(0o600);
        let told = || format!("could not lock {}", path.display());
        let file = opened.open(&path).with_context(told)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Lead(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(told),
        }
    }

    /// The account at the authority that is wanted.
    pub(super) fn account(&self, wanted: &Wanted) -> Option<AccountCredentials> {
        let kept: KeptAccount = self.read(ACCOUNT)?;
        (kept.directory == wanted.directory).then_some(kept.credentials)
    }

    pub(super) fn keep_account(
        &self,
        wanted: &Wanted,
        credentials: AccountCredentials,
    ) -> Result<()> {
        let directory = wanted.directory.clone();
        self.write(
            ACCOUNT,
            &KeptAccount {
                directory,
                credentials,
            },
        )
    }

    /// From when to when the certificate is valid that was ordered for this; `None` if there is
    /// none that can be shown.
    pub fn certificate(&self, wanted: &Wanted) -> Option<Validity> {
        let text = std::fs::read_to_string(self.0.join(CERTIFICATE)).ok()?;
        let purpose = text.lines().next()?.strip_prefix("# ")?;
        let purpose: Purpose = serde_json::from_str(purpose).ok()?;
        if purpose != Purpose::of(wanted) {
            return None;
        }
        let certified = certificate::certified(text.as_bytes(), text.as_bytes()).ok()?;
        Some(Validity {
            begins_at: certified.begins_at,
            ends_at: certified.expires_at,
        })
    }

    /// Keeps a certificate and its key, which are believed only if they belong together.
    pub(super) fn keep_certificate(&self, wanted: &Wanted, chain: &str, key: &str) -> Result<()> {
        if let Err(Fault::Certificate(why) | Fault::Key(why)) =
            certificate::certified(chain.as_bytes(), key.as_bytes())
        {
            anyhow::bail!("the authority gave a certificate that cannot be used: {why}");
        }
        let purpose = serde_json::to_string(&Purpose::of(wanted))?;
        let text = format!("# {purpose}\n{}\n{}", chain.trim_end(), key.trim_end());
        write_private(&self.0.join(CERTIFICATE), &text)
    }

    /// Attempts for this that failed.
    pub fn failures(&self, wanted: &Wanted) -> Failures {
        let kept: Option<KeptFailures> = self.read(FAILURES);
        let kept = kept.filter(|kept| kept.purpose == Purpose::of(wanted));
        kept.map(|kept| kept.failures).unwrap_or_default()
    }

    pub(super) fn keep_failures(&self, wanted: &Wanted, failures: Failures) -> Result<()> {
        let purpose = Purpose::of(wanted);
        self.write(FAILURES, &KeptFailures { purpose, failures })
    }

    /// The file that makes the next attempt wait.
    pub fn failures_file(&self) -> PathBuf {
        self.0.join(FAILURES)
    }

    pub(super) fn forget_failures(&self) -> Result<()> {
        removed(&self.failures_file())
    }

    /// Lets an authority find `answer` below `token`.
    pub(super) fn show_challenge(&self, token: &str, answer: &str) -> Result<()> {
        anyhow::ensure!(is_token(token), "the authority's token is none: {token:?}");
        write_private(&self.0.join(CHALLENGES).join(token), answer)
    }

    /// Takes back everything that was shown.
    pub(super) fn clear_challenges(&self) -> Result<()> {
        let shown = std::fs::read_dir(self.0.join(CHALLENGES));
        for entry in shown.context("no challenges")?.flatten() {
            removed(&entry.path())?;
        }
        Ok(())
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, name: &str) -> Option<T> {
        let text = std::fs::read(self.0.join(name)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write<T: Serialize>(&self, name: &str, content: &T) -> Result<()> {
        write_private(&self.0.join(name), &serde_json::to_string(content)?)
    }
}

fn removed(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("could not remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
