//! Generated passwords, kept in files that only their owner reads.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rand::TryRng as _;
use rand::rngs::SysRng;

use crate::error::StartError;

/// Bytes of randomness in a password.
const PASSWORD_BYTES: usize = 24;

/// A random text of hexadecimal digits, safe in URLs, SQL and server configuration.
pub(crate) fn random_hex(bytes: usize) -> Result<String, StartError> {
    let mut random = vec![0_u8; bytes];
    SysRng
        .try_fill_bytes(&mut random)
        .map_err(|_| StartError::Randomness)?;
    Ok(random
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// Reads the password in this file, or generates it on the first start.
pub(crate) fn password(file: &Path) -> Result<String, StartError> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let text = text.trim();
            let sound = text.len() == PASSWORD_BYTES * 2
                && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            sound
                .then(|| text.to_owned())
                .ok_or_else(|| StartError::Damaged {
                    path: file.to_path_buf(),
                })
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let password = random_hex(PASSWORD_BYTES)?;
            write_private(file, &password)?;
            Ok(password)
        }
        Err(error) => Err(StartError::file("read", file)(error)),
    }
}

/// Writes a file with mode 0600, whole or not at all.
pub(crate) fn write_private(file: &Path, text: &str) -> Result<(), StartError> {
    let unfinished = file.with_extension("unfinished");
    let write = || {
        match fs::remove_file(&unfinished) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut out = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&unfinished)?;
        writeln!(out, "{text}")?;
        out.sync_all()?;
        fs::rename(&unfinished, file)
    };
    write().map_err(StartError::file("write", file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn password_is_private_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("redis.password");

        let first = password(&file).unwrap();

        assert_eq!(first.len(), 48);
        assert_eq!(password(&file).unwrap(), first);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn damaged_password_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("redis.password");
        fs::write(&file, "\n").unwrap();

        assert!(matches!(password(&file), Err(StartError::Damaged { .. })));
    }
}
