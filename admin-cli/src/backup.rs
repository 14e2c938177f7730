//! `ropeline backup` and `ropeline restore`: the only commands that go to the database and the data
//! directory and not to a gateway, which may be gone when they are needed.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backup::{Backup, BackupError, Created, Manifest, Opener, Place, Protection, Source, Verified};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::backup_args::{
    BackupCommand, BackupSubcommand, InstallationArgs, OpeningArgs, RestoreArgs, TakeArgs,
};
use crate::config::data_dir_default;
use crate::console::{Console, counted};
use crate::failure::{Exit, Failure};

const HINT_PROTECTION: &str = "name a file with a passphrase in --passphrase-file or \
    ROPELINE_BACKUP_PASSPHRASE_FILE (openssl rand -base64 32 makes one), or a --recipient; --plain \
    writes it for everyone who reads the file";

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        let exit = if error.is_conflict() {
            Exit::Conflict
        } else {
            Exit::Failed
        };
        let mut text = error.to_string();
        if let Some(first) = text.get(..1).map(str::to_uppercase) {
            text.replace_range(..1, &first);
        }
        let failure = Self::new(exit, text);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// The settings file that a gateway reads when none is named.
const SETTINGS_FILE: &str = "ropeline.toml";

/// What the gateway's settings file says of these commands' subject.
#[derive(Debug, Default, Deserialize)]
struct Settings {
    database_url: Option<String>,
    data_dir: Option<PathBuf>,
    signing_keys: Option<String>,
    ca_file: Option<PathBuf>,
}

/// The installation that is meant.
struct Installation {
    data_dir: PathBuf,
    database_url: Option<String>,
    signing_keys: Vec<PathBuf>,
}

/// Directories and files that are named for every command.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The gateway's data directory.
    pub(crate) data_dir: Option<&'a Path>,
    /// Authorities that are believed too.
    pub(crate) ca_file: Option<&'a Path>,
}

impl Installation {
    fn find(
        args: &InstallationArgs,
        Named { data_dir, ca_file }: Named<'_>,
        signing_keys: &[PathBuf],
        cwd: &Path,
    ) -> Result<Self, Failure> {
        let beside = cwd.join(SETTINGS_FILE);
        let settings = match given(args.config.as_ref()) {
            Some(file) => read_settings(&cwd.join(file))?,
            None if beside.exists() => read_settings(&beside)?,
            None => Settings::default(),
        };
        let named = data_dir.filter(|dir| !dir.as_os_str().is_empty());
        let named = named.or(given(settings.data_dir.as_ref()));
        let data_dir = named.map_or_else(|| data_dir_default(cwd), Path::to_path_buf);
        let ca_file = ca_file.filter(|file| !file.as_os_str().is_empty());
        let ca_file = ca_file.or(given(settings.ca_file.as_ref()));
        let is_url = |url: &&String| !url.trim().is_empty();
        let database_url = args.database_url.as_ref().filter(is_url);
        let database_url = database_url.or(settings.database_url.as_ref().filter(is_url));
        let is_file = |file: &&Path| !file.as_os_str().is_empty();
        let files = signing_keys.iter().map(PathBuf::as_path).filter(is_file);
        let mut signing_keys: Vec<PathBuf> = files.map(|file| cwd.join(file)).collect();
        if signing_keys.is_empty() {
            let listed = settings.signing_keys.as_deref().unwrap_or_default();
            let listed = listed.split(',').map(|file| Path::new(file.trim()));
            signing_keys.extend(listed.filter(is_file).map(|file| cwd.join(file)));
        }
        Ok(Self {
            data_dir: cwd.join(data_dir),
            database_url: database_url.map(|url| match ca_file {
                Some(file) => believing(url, &cwd.join(file)),
                None => url.clone(),
            }),
            signing_keys,
        })
    }
}

/// The URL with these authorities, which the gateway believes too, unless it names some itself.
fn believing(url: &str, ca_file: &Path) -> String {
    if ["sslrootcert=", "ssl-root-cert=", "ssl-ca="]
        .iter()
        .any(|name| url.contains(name))
    {
        return url.to_owned();
    }
    match Url::parse(url) {
        Ok(mut parsed) => {
            let file = ca_file.display().to_string();
            parsed.query_pairs_mut().append_pair("sslrootcert", &file);
            parsed.into()
        }
        // What is wrong with it is said where it is used.
        Err(_) => url.to_owned(),
    }
}

/// The path, unless it is empty, as variables of the environment may be.
fn given(path: Option<&PathBuf>) -> Option<&Path> {
    path.map(PathBuf::as_path)
        .filter(|path| !path.as_os_str().is_empty())
}

fn read_settings(file: &Path) -> Result<Settings, Failure> {
    let cannot = |why: String| {
        Failure::usage(format!("Cannot read the settings in {}", file.display())).detail(why)
    };
    let text = std::fs::read_to_string(file).map_err(|error| cannot(error.to_string()))?;
    toml::from_str(&text).map_err(|error| cannot(error.to_string()))
}

/// Runs `ropeline backup`.
pub(crate) async fn run(
    command: BackupCommand,
    named: Named<'_>,
    cwd: &Path,
    console: &Console,
) -> Result<Exit, Failure> {
    match command.command {
        Some(BackupSubcommand::Verify { file, opening }) => verify(&file, &opening, console).await,
        None => take(command.take, named, cwd, console).await,
    }
}

async fn take(
    args: TakeArgs,
    named: Named<'_>,
    cwd: &Path,
    console: &Console,
) -> Result<Exit, Failure> {
    let protection = protection(&args)?;
    let found = Installation::find(&args.installation, named, &args.signing_keys, cwd)?;
    let place = Place::to_back_up(&found.data_dir, found.database_url.as_deref()).await?;
    let source = Source {
        address: place.address().clone(),
        data_dir: found.data_dir,
        signing_keys: found.signing_keys,
    };
    let (to, keep) = (args.to, args.keep.map(|keep| keep as usize));
    let created = at_work(console, "of the database", move |progress| {
        backup::create(&source, &to, &protection, keep, progress)
    })
    .await;
    place.leave().await;
    told(&created?, console)
}

fn protection(args: &TakeArgs) -> Result<Protection, Failure> {
    if args.plain {
        return Ok(Protection::Plain);
    }
    if !args.recipients.is_empty() {
        return Ok(Protection::recipients(&args.recipients)?);
    }
    match given(args.passphrase_file.as_ref()) {
        Some(file) => Ok(Protection::passphrase_in(file)?),
        None => {
            Err(Failure::usage("A backup is encrypted, and nothing says how").hint(HINT_PROTECTION))
        }
    }
}

fn told(created: &Created, console: &Console) -> Result<Exit, Failure> {
    if console.is_json() {
        let mut document = document(&created.manifest)?;
        document["file"] = json!(created.file);
        document["bytes"] = json!(created.bytes);
        document["removed"] = json!(created.removed);
        console.document(&document)?;
        return Ok(Exit::Fine);
    }
    let megabytes = megabytes(created.bytes);
    console.text(&format!("{} ({megabytes})", created.file.display()))?;
    for file in &created.removed {
        console.text(&format!("removed {}", file.display()))?;
    }
    Ok(Exit::Fine)
}

fn document(manifest: &Manifest) -> Result<serde_json::Value, Failure> {
    let document = serde_json::to_value(manifest);
    document.map_err(|error| Failure::failed(format!("Cannot write the document: {error}")))
}

async fn verify(file: &Path, args: &OpeningArgs, console: &Console) -> Result<Exit, Failure> {
    let verified = read(file.to_path_buf(), opener(args)?, console).await;
    let (Verified { manifest, .. }, _) = verified?;
    if console.is_json() {
        console.document(&document(&manifest)?)?;
    } else {
        let members = counted(manifest.members.len() as u64, "member", "members");
        console.text(&format!(
            "Whole: {members} as the manifest says. Taken at {} of installation {} by version {}, \
             PostgreSQL {}, {} of the database, signing keys {}.",
            manifest.taken_at_text(),
            manifest.installation,
            manifest.program_version,
            manifest.server_version,
            megabytes(manifest.database_bytes()),
            manifest.signing_keys.join(", "),
        ))?;
    }
    Ok(Exit::Fine)
}

fn opener(args: &OpeningArgs) -> Result<Opener, Failure> {
    let mut opener = Opener::default();
    for file in &args.identities {
        opener.identities_in(file)?;
    }
    if let Some(file) = given(args.passphrase_file.as_ref()) {
        opener.passphrase_in(file)?;
    }
    Ok(opener)
}

async fn read(
    file: PathBuf,
    opener: Opener,
    console: &Console,
) -> Result<(Verified, Opener), BackupError> {
    at_work(console, "checked", move |progress| {
        let verified = Backup::open(&file)?.verify(&opener, progress)?;
        Ok((verified, opener))
    })
    .await
}

/// Runs `ropeline restore`.
pub(crate) async fn restore(
    args: RestoreArgs,
    named: Named<'_>,
    cwd: &Path,
    console: &Console,
) -> Result<Exit, Failure> {
    let opener = opener(&args.opening)?;
    let found = Installation::find(&args.installation, named, &[], cwd)?;
    // Before anything is started or written.
    let (verified, opener) = read(args.file, opener, console).await?;
    verified.fits(&found.data_dir)?;
    let place = Place::to_restore_into(&found.data_dir, found.database_url.as_deref()).await?;
    let (address, to) = (place.address().clone(), found.data_dir.clone());
    let manifest = verified.manifest.clone();
    let restored = at_work(console, "restored", move |progress| {
        verified.restore(&address, &to, &opener, progress)
    })
    .await;
    place.leave().await;
    let restored = restored?;
    if console.is_json() {
        let mut document = document(&manifest)?;
        document["dataDir"] = json!(found.data_dir);
        document["otherSigningKeys"] = json!(restored.signing_keys);
        console.document(&document)?;
        return Ok(Exit::Fine);
    }
    console.text(&format!(
        "Restored what was there at {} to {}. What came after that is lost.",
        manifest.taken_at_text(),
        found.data_dir.display()
    ))?;
    if !restored.signing_keys.is_empty() {
        let files = restored
            .signing_keys
            .iter()
            .map(|file| file.display().to_string());
        let files = files.collect::<Vec<_>>().join(",");
        console.text(&format!(
            "The gateway needs these keys too: ROPELINE_SIGNING_KEYS={files}"
        ))?;
    }
    Ok(Exit::Fine)
}

/// Does work that blocks on a thread of its own, shows how far it is, and tells it to stop on Ctrl-C
/// and when the process is to end, so that it can take away what is half made.
async fn at_work<T: Send + 'static>(
    console: &Console,
    what: &'static str,
    work: impl FnOnce(&mut dyn FnMut(u64) -> io::Result<()>) -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let stop = Arc::new(AtomicBool::new(false));
    let bar = progress_bar(console, what);
    let (asked, shown) = (Arc::clone(&stop), bar.clone());
    let mut working = tokio::task::spawn_blocking(move || {
        work(&mut |bytes| {
            shown.set_position(bytes);
            if asked.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::Other.into());
            }
            Ok(())
        })
    });
    let done = tokio::select! {
        done = &mut working => done,
        () = told_to_end() => {
            stop.store(true, Ordering::Relaxed);
            working.await
        }
    };
    bar.finish_and_clear();
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

async fn told_to_end() {
    let (interrupt, terminate) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    );
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        // The signals end the process as they do without this.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}

fn progress_bar(console: &Console, what: &str) -> ProgressBar {
    if console.is_json() || !console.is_interactive() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style =
        ProgressStyle::with_template("{spinner} {binary_bytes} {msg} ({binary_bytes_per_sec})");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100_000);
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(data_dir: Option<&str>) -> Named<'_> {
        Named {
            data_dir: data_dir.map(Path::new),
            ca_file: None,
        }
    }

    #[test]
    fn the_gateways_authorities_are_believed_too() {
        let believed = |url| believing(url, Path::new("/etc/our ca.pem"));
        assert_eq!(
            believed("postgres://db/x?sslmode=verify-full"),
            "postgres://db/x?sslmode=verify-full&sslrootcert=%2Fetc%2Four+ca.pem"
        );
        let own = "postgres://db/x?sslrootcert=/own.pem";
        assert_eq!(believed(own), own);
    }

    fn no_args(config: Option<PathBuf>) -> InstallationArgs {
        InstallationArgs {
            database_url: None,
            config,
        }
    }

    #[test]
    fn flags_go_before_the_settings_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ropeline.toml");
        let text = "database_url = \"postgres://a/b\"\ndata_dir = \"/var/lib/x\"\n\
            signing_keys = \"/a.pem, /b.pem\"\nrate = 5\n";
        std::fs::write(&file, text).unwrap();
        let args = no_args(Some(file));
        let found = Installation::find(&args, named(None), &[], dir.path()).unwrap();
        assert_eq!(found.database_url.as_deref(), Some("postgres://a/b"));
        assert_eq!(found.data_dir, Path::new("/var/lib/x"));
        assert_eq!(
            found.signing_keys,
            [Path::new("/a.pem"), Path::new("/b.pem")]
        );
        let args = InstallationArgs {
            database_url: Some("postgres://flag/b".to_owned()),
            ..args
        };
        let keys = [PathBuf::from("/c.pem"), PathBuf::new()];
        let found = Installation::find(&args, named(Some("here")), &keys, dir.path()).unwrap();
        assert_eq!(found.database_url.as_deref(), Some("postgres://flag/b"));
        assert_eq!(found.data_dir, dir.path().join("here"));
        assert_eq!(found.signing_keys, keys[..1]);
        let empty = InstallationArgs {
            database_url: Some(String::new()),
            config: Some(PathBuf::new()),
        };
        let found = Installation::find(&empty, named(Some("")), &[PathBuf::new()], dir.path());
        assert_eq!(
            found.unwrap().data_dir,
            Path::new("/var/lib/x"),
            "ropeline.toml is read"
        );
    }

    #[test]
    fn a_refusal_is_a_conflict_and_begins_with_a_capital() {
        let failure = Failure::from(BackupError::NotEmpty("public.bookings".to_owned()));
        assert_eq!(failure.exit, Exit::Conflict);
        assert!(
            failure.title.starts_with("The database is not empty"),
            "{failure}"
        );
        assert!(failure.hint.is_some());
        assert_eq!(Failure::from(BackupError::NothingThere).exit, Exit::Failed);
    }

    #[test]
    fn sizes_are_rounded_up() {
        for (bytes, text) in [(0, "0.0 MB"), (1, "0.1 MB"), (1_250_000, "1.3 MB")] {
            assert_eq!(megabytes(bytes), text);
        }
    }
}
