//! What can be typed for backups and restores.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct BackupCommand {
    #[command(subcommand)]
    pub(crate) command: Option<BackupSubcommand>,
    #[command(flatten)]
    pub(crate) take: TakeArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BackupSubcommand {
    /// Decrypt a backup and hold every part of it against its digest; changes nothing
    #[command(after_help = "Examples:\n  \
        ropeline backup verify /var/backups/ropeline/ropeline-0011aabb-20261201T040000Z.tar.age\n  \
        ropeline backup verify --identity key.txt backup.tar.age --json | jq .takenAt")]
    Verify {
        /// The backup
        file: PathBuf,
        #[command(flatten)]
        opening: OpeningArgs,
    },
}

/// Which database and keys.
#[derive(Debug, Args)]
pub(crate) struct InstallationArgs {
    /// URL of the database [default: the private one of the data directory]
    #[arg(
        long,
        env = "ROPELINE_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub(crate) database_url: Option<String>,
    /// Settings file of the gateway, from which `database_url`, `data_dir` and `signing_keys` are
    /// taken where neither a flag nor the environment gives them
    #[arg(long, env = "ROPELINE_CONFIG", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct TakeArgs {
    /// Where to write it: a directory, or a file that does not exist
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub(crate) to: PathBuf,
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    /// Signing keys outside the data directory, by commas
    #[arg(
        long,
        env = "ROPELINE_SIGNING_KEYS",
        value_name = "FILES",
        value_delimiter = ','
    )]
    pub(crate) signing_keys: Vec<PathBuf>,
    /// Encrypt it with the passphrase in this file
    #[arg(long, env = "ROPELINE_BACKUP_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Encrypt it for this recipient of age instead; may be repeated
    #[arg(long = "recipient", value_name = "AGE1…")]
    pub(crate) recipients: Vec<String>,
    /// Do not encrypt it: whoever reads the file has all keys and all personal data
    #[arg(long, conflicts_with = "recipients")]
    pub(crate) plain: bool,
    /// Afterwards remove the older backups of this installation in the directory, but for so many
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,
}

/// What opens a backup.
#[derive(Debug, Args)]
pub(crate) struct OpeningArgs {
    /// File with the passphrase
    #[arg(long, env = "ROPELINE_BACKUP_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// File with the identity of one of the recipients
    #[arg(long = "identity", value_name = "FILE")]
    pub(crate) identities: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The backup
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) installation: InstallationArgs,
    #[command(flatten)]
    pub(crate) opening: OpeningArgs,
}
