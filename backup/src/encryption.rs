//! Encryption with age, whose files other programs open too: `age --decrypt BACKUP | tar --extract`.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::Path;

use age::secrecy::SecretString;
use age::{DecryptError, Decryptor, Encryptor, Identity, IdentityFile, Recipient, scrypt, x25519};

use crate::archive::HEAD;
use crate::error::BackupError;

/// What an encrypted file begins with.
const MAGIC: &[u8] = b"age-encryption.org/v1\n";
/// Powers of two that a guess at a passphrase costs: about a second and 256 MiB.
const WORK: u8 = 18;
/// What is done at most to open a file: one of another program may ask for hours.
const WORK_MAX: u8 = 22;
const PASSPHRASE_CHARS_MIN: usize = 12;

/// How a backup is protected.
pub enum Protection {
    /// Not at all: whoever reads the file has the keys and everyone's data.
    Plain,
    /// By a passphrase.
    Passphrase(SecretString),
    /// For whoever has the identity of one of these recipients.
    Recipients(Vec<x25519::Recipient>),
}

impl Protection {
    /// Protection by the passphrase in a file.
    pub fn passphrase_in(file: &Path) -> Result<Self, BackupError> {
        let passphrase = read_passphrase(file)?;
        if passphrase.chars().count() < PASSPHRASE_CHARS_MIN {
            return Err(BackupError::ShortPassphrase(PASSPHRASE_CHARS_MIN));
        }
        Ok(Self::Passphrase(passphrase.into()))
    }

    /// Protection for recipients, each of which begins with `age1`.
    pub fn recipients(names: &[String]) -> Result<Self, BackupError> {
        let parse = |name: &String| {
            let parsed = name.trim().parse::<x25519::Recipient>();
            parsed.map_err(|_| BackupError::Recipient(name.clone()))
        };
        names
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self::Recipients)
    }

    /// Whether the file will be encrypted.
    pub fn is_encrypted(&self) -> bool {
        !matches!(self, Self::Plain)
    }

    /// Writes what the file begins with, and gives the writer of the rest.
    pub(crate) fn seal<W: Write>(&self, out: W) -> io::Result<Sealed<W>> {
        let wrap = |recipients: &[&dyn Recipient], out| {
            let encryptor = Encryptor::with_recipients(recipients.iter().copied());
            encryptor.map_err(io::Error::other)?.wrap_output(out)
        };
        Ok(match self {
            Self::Plain => Sealed::Plain(out),
            Self::Passphrase(passphrase) => {
                let mut recipient = scrypt::Recipient::new(passphrase.clone());
                recipient.set_work_factor(WORK);
                Sealed::Encrypted(wrap(&[&recipient], out)?)
            }
            Self::Recipients(recipients) => {
                let recipients: Vec<&dyn Recipient> = recipients.iter().map(|it| it as _).collect();
                Sealed::Encrypted(wrap(&recipients, out)?)
            }
        })
    }
}

/// The writer of the content of a backup.
pub(crate) enum Sealed<W: Write> {
    Plain(W),
    Encrypted(age::stream::StreamWriter<W>),
}

impl<W: Write> Sealed<W> {
    /// Writes the end, without which the file counts as cut off.
    pub(crate) fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(out) => Ok(out),
            Self::Encrypted(out) => out.finish(),
        }
    }
}

impl<W: Write> Write for Sealed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Encrypted(out) => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Encrypted(out) => out.flush(),
        }
    }
}

/// What opens encrypted backups.
#[derive(Default)]
pub struct Opener {
    passphrase: Option<SecretString>,
    identities: Vec<Box<dyn Identity + Send + Sync>>,
}

impl Opener {
    /// Also opens what is protected by the passphrase in this file.
    pub fn passphrase_in(&mut self, file: &Path) -> Result<(), BackupError> {
        self.passphrase = Some(read_passphrase(file)?.into());
        Ok(())
    }

    /// Also opens what is protected for the identities in this file.
    pub fn identities_in(&mut self, file: &Path) -> Result<(), BackupError> {
        let opened = File::open(file).map_err(BackupError::file("open", file))?;
        let none = |_| BackupError::NoIdentity(file.to_path_buf());
        let read = IdentityFile::from_buffer(BufReader::new(opened)).map_err(none)?;
        let found = read.into_identities();
        let found = found.map_err(|_| BackupError::NoIdentity(file.to_path_buf()))?;
        if found.is_empty() {
            return Err(BackupError::NoIdentity(file.to_path_buf()));
        }
        self.identities.extend(found);
        Ok(())
    }

    /// The content of a backup, from its first byte on. `path` is that of the file, for messages.
    pub(crate) fn open<'a>(
        &self,
        file: &'a File,
        path: &Path,
    ) -> Result<Box<dyn Read + 'a>, BackupError> {
        let unreadable = |error: io::Error| BackupError::Damaged(error.to_string());
        let mut source = file;
        source.rewind().map_err(unreadable)?;
        let mut begin = Vec::new();
        let magic_bytes = MAGIC.len() as u64;
        file.take(magic_bytes)
            .read_to_end(&mut begin)
            .map_err(unreadable)?;
        source.rewind().map_err(unreadable)?;
        let buffered = BufReader::new(file);
        if begin != MAGIC {
            if !begin.starts_with(HEAD.as_bytes()) {
                return Err(BackupError::NoBackup(path.to_path_buf()));
            }
            return Ok(Box::new(buffered));
        }
        let decryptor = Decryptor::new_buffered(buffered).map_err(|error| unopened(error, ""))?;
        if decryptor.is_scrypt() {
            let passphrase = self.passphrase.clone();
            let passphrase = passphrase.ok_or(BackupError::Locked("to a passphrase"))?;
            let mut identity = scrypt::Identity::new(passphrase);
            identity.set_max_work_factor(WORK_MAX);
            let opened = decryptor.decrypt(std::iter::once(&identity as &dyn Identity));
            return Ok(Box::new(
                opened.map_err(|error| unopened(error, "passphrase"))?,
            ));
        }
        if self.identities.is_empty() {
            return Err(BackupError::Locked("for recipients"));
        }
        let identities = self.identities.iter().map(|it| &**it as &dyn Identity);
        let opened = decryptor.decrypt(identities);
        Ok(Box::new(
            opened.map_err(|error| unopened(error, "identity"))?,
        ))
    }
}

fn read_passphrase(file: &Path) -> Result<String, BackupError> {
    let text = std::fs::read_to_string(file).map_err(BackupError::file("read", file))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

fn unopened(error: DecryptError, key: &'static str) -> BackupError {
    match error {
        DecryptError::NoMatchingKeys
        | DecryptError::KeyDecryptionFailed
        | DecryptError::DecryptionFailed => BackupError::WrongKey(key),
        other => BackupError::Damaged(other.to_string()),
    }
}

/// A writer with the buffer that age and tar want: they write in small pieces.
pub(crate) fn buffered(file: File) -> BufWriter<File> {
    BufWriter::with_capacity(1 << 16, file)
}
