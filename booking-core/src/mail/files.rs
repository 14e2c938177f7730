//! Messages as files, when there is no mail server: for trying Ropeline out, and for tests.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use contract::Timestamp;
use mail_parser::MessageParser;
use uuid::Uuid;

use crate::config::MAIL_FILES_MAX;

const ENDING: &str = ".eml";
/// Digits of the time in a name, so that names sort by time.
const TIME_DIGITS: usize = 15;

/// A message in a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MailFile {
    /// The name of the file without its ending.
    pub(crate) name: String,
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) subject: String,
    pub(crate) message_id: String,
    pub(crate) text: String,
    pub(crate) html: String,
}

/// A directory of messages, of which only the newest are kept.
#[derive(Clone, Debug)]
pub(crate) struct MailFiles {
    directory: PathBuf,
}

impl MailFiles {
    pub(crate) fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Writes a message under the name of its notice, in place of an earlier attempt.
    pub(crate) fn write(&self, notice_id: Uuid, at: Timestamp, bytes: &[u8]) -> io::Result<()> {
        // Addresses and bookings are nobody else's business.
        let mut directory = fs::DirBuilder::new();
        directory
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)?;
        let name = format!("{:0TIME_DIGITS$}-{notice_id}{ENDING}", at.as_ms().max(0));
        let unfinished = self.directory.join(format!("{name}.tmp"));
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        io::Write::write_all(&mut options.open(&unfinished)?, bytes)?;
        fs::rename(&unfinished, self.directory.join(name))?;
        self.prune()
    }

    fn prune(&self) -> io::Result<()> {
        let names = self.names()?;
        for name in names.iter().skip(MAIL_FILES_MAX) {
            match fs::remove_file(self.path(name)) {
                // Another attempt pruned at the same time.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                removed => removed?,
            }
        }
        Ok(())
    }

    /// The messages, newest first.
    pub(super) fn list(&self) -> io::Result<Vec<MailFile>> {
        let names = self.names()?;
        let read = names
            .iter()
            .take(MAIL_FILES_MAX)
            .filter_map(|name| self.read(name).transpose());
        read.collect()
    }

    /// The message with this name. No other name than that of a message leads to a file.
    pub(super) fn read(&self, name: &str) -> io::Result<Option<MailFile>> {
        if !is_name(name) {
            return Ok(None);
        }
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(Some(parse(name, &bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{name}{ENDING}"))
    }

    /// Names without their endings, newest first.
    fn names(&self) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            let name = Path::new(&name)
                .to_str()
                .and_then(|name| name.strip_suffix(ENDING));
            names.extend(name.filter(|name| is_name(name)).map(str::to_owned));
        }
        names.sort_unstable_by(|a, b| b.cmp(a));
        Ok(names)
    }
}

fn is_name(name: &str) -> bool {
    name.split_once('-').is_some_and(|(time, id)| {
        time.len() == TIME_DIGITS
            && time.bytes().all(|byte| byte.is_ascii_digit())
            && id.len() == 36
            && Uuid::try_parse(id).is_ok()
    })
}

fn parse(name: &str, bytes: &[u8]) -> MailFile {
    let mut file = MailFile {
        name: name.to_owned(),
        ..MailFile::default()
    };
    let Some(message) = MessageParser::default().parse(bytes) else {
        return file;
    };
    let address = |of: Option<&mail_parser::Address<'_>>| {
        let first = of.and_then(|of| of.first());
        first.and_then(|it| it.address().map(str::to_owned))
    };
    file.to = address(message.to()).unwrap_or_default();
    file.from = address(message.from()).unwrap_or_default();
    let subject = message.subject().unwrap_or_default();
    subject.clone_into(&mut file.subject);
    let message_id = message.message_id().unwrap_or_default();
    message_id.clone_into(&mut file.message_id);
    file.text = message.body_text(0).unwrap_or_default().into_owned();
    file.html = message.body_html(0).unwrap_or_default().into_owned();
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_are_read() {
        for name in [
            "",
            "../000000000000001-00000000-0000-0000-0000-000000000007",
            "000000000000001-../../../../../../../etc/passwd-aaaaaa",
            "000000000000001-00000000-0000-0000-0000-00000000000",
            "1-00000000-0000-0000-0000-000000000007",
        ] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name(
            "000000000000001-00000000-0000-0000-0000-000000000007"
        ));
    }
}
