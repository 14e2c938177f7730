//! Where lines are written to: a file, which is opened again when it was moved away, or stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Mode of a new file: it has addresses of fans in it.
const MODE: u32 = 0o640;

/// Where lines are written to.
pub(super) struct Output {
    to: Box<dyn Write + Send>,
    /// The file, unless there is none.
    file: Option<Named>,
    /// The last write ended within a line.
    is_torn: bool,
    /// What failed was told, and nothing has worked since.
    is_failing: bool,
}

/// A file that was opened by its name.
struct Named {
    path: PathBuf,
    /// Device and number of the file that is written to.
    identity: (u64, u64),
}

impl Output {
    /// Lines go to the end of this file, which is made if it is missing.
    pub(super) fn file(path: &Path) -> io::Result<Self> {
        let (file, identity) = opened(path)?;
        Ok(Self {
            file: Some(Named {
                path: path.to_owned(),
                identity,
            }),
            ..Self::stream(file)
        })
    }

    /// Lines go to this stream.
    pub(super) fn stream(to: impl Write + Send + 'static) -> Self {
        Self {
            to: Box::new(to),
            file: None,
            is_torn: false,
            is_failing: false,
        }
    }

    /// Opens the file again if another has its name, or none.
    pub(super) fn look(&mut self) {
        let Some(named) = &mut self.file else { return };
        let is_same = std::fs::metadata(&named.path)
            .is_ok_and(|found| (found.dev(), found.ino()) == named.identity);
        if is_same {
            return;
        }
        match opened(&named.path) {
            Ok((file, identity)) => {
                self.to = Box::new(file);
                named.identity = identity;
                self.is_torn = false;
                self.is_failing = false;
            }
            // What was moved away is written to meanwhile.
            Err(error) => self.failed(&error),
        }
    }

    /// Writes whole lines, and returns how many of them were lost.
    pub(super) fn write(&mut self, lines: &[u8]) -> usize {
        let begun = if self.is_torn { &b"\n"[..] } else { b"" };
        let mut left = lines;
        let written = write_some(&mut self.to, &mut &*begun)
            .and_then(|()| {
                self.is_torn = false;
                write_some(&mut self.to, &mut left)
            })
            .and_then(|()| self.to.flush());
        match written {
            Ok(()) => {
                if self.is_failing {
                    self.is_failing = false;
                    tracing::info!("the access log is written again");
                }
                0
            }
            Err(error) => {
                let done = lines.len() - left.len();
                self.is_torn |= done > 0 && lines.get(done - 1) != Some(&b'\n');
                self.failed(&error);
                count(left)
            }
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.is_failing {
            self.is_failing = true;
            tracing::error!(%error, "the access log cannot be written");
        }
    }
}

/// How many lines end in `lines`.
pub(super) fn count(lines: &[u8]) -> usize {
    // What follows the last line feed is no line.
    lines.split(|byte| *byte == b'\n').count() - 1
}

/// Writes what is `left`, and takes from it what was written.
fn write_some(to: &mut dyn Write, left: &mut &[u8]) -> io::Result<()> {
    while !left.is_empty() {
        match to.write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *left = &left[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn opened(path: &Path) -> io::Result<(File, (u64, u64))> {
    let mut options = OpenOptions::new();
    // Appended to, so that another process may write there too, as while it is replaced.
    let file = options.append(true).create(true).mode(MODE).open(path)?;
    let found = file.metadata()?;
    Ok((file, (found.dev(), found.ino())))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_file_that_was_moved_away_is_made_again() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("access.log"), dir.path().join("access.1"));
        std::fs::write(&path, "before\n").unwrap();
        let mut output = Output::file(&path).unwrap();
        assert_eq!(output.write(b"one\n"), 0);
        output.look();
        std::fs::rename(&path, &moved).unwrap();
        // Until somebody looks, lines follow the file.
        assert_eq!(output.write(b"two\n"), 0);
        output.look();
        assert_eq!(output.write(b"three\n"), 0);
        assert_eq!(read(&moved), "before\none\ntwo\n");
        assert_eq!(read(&path), "three\n");
        // As logrotate does with `create`.
        std::fs::rename(&path, &moved).unwrap();
        std::fs::write(&path, "").unwrap();
        output.look();
        assert_eq!(output.write(b"four\n"), 0);
        assert_eq!(
            (read(&moved), read(&path)),
            ("three\n".into(), "four\n".into())
        );
        // As it does with `copytruncate`.
        std::fs::write(&path, "").unwrap();
        output.look();
        assert_eq!(output.write(b"five\n"), 0);
        assert_eq!(read(&path), "five\n");
    }

    #[test]
    fn lines_go_on_where_they_went_while_there_is_no_place_for_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let (logs, moved) = (dir.path().join("logs"), dir.path().join("moved"));
        std::fs::create_dir(&logs).unwrap();
        let path = logs.join("access.log");
        let mut output = Output::file(&path).unwrap();
        std::fs::rename(&logs, &moved).unwrap();
        output.look();
        assert_eq!(output.write(b"one\n"), 0);
        assert_eq!(read(&moved.join("access.log")), "one\n");
        std::fs::create_dir(&logs).unwrap();
        output.look();
        assert_eq!(output.write(b"two\n"), 0);
        assert_eq!(read(&path), "two\n");
    }

    /// A disk with room for some bytes.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, usize)>>);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut disk = self.0.lock().unwrap();
            let count = bytes.len().min(disk.1);
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            disk.1 -= count;
            disk.0.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_a_full_disk_loses_are_counted_and_the_next_begins_anew() {
        let disk = Disk::default();
        disk.0.lock().unwrap().1 = 6;
        let mut output = Output::stream(disk.clone());
        assert_eq!(output.write(b"one\ntwo\nthree\n"), 2);
        assert_eq!(output.write(b"four\n"), 1);
        disk.0.lock().unwrap().1 = 100;
        assert_eq!(output.write(b"five\n"), 0);
        assert_eq!(disk.0.lock().unwrap().0, b"one\ntw\nfive\n");
    }
}
