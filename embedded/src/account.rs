//! The unprivileged account the servers run as when we are root.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;

use nix::unistd::{Gid, Uid, User};

use crate::error::StartError;

/// Accounts we may run servers as, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// The account the servers run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Account {
    /// Our own: we are not root.
    Own,
    /// Another one: we are root, and PostgreSQL refuses to run as root.
    Other {
        /// Its user id.
        uid: u32,
        /// Its main group.
        gid: u32,
    },
}

impl Account {
    /// Chooses the account: the owner of data that exists, else the first candidate.
    pub(crate) fn choose(existing_data: Option<&Metadata>) -> Result<Account, StartError> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(Account::Own);
        }
        if let Some(owner) = existing_data.filter(|data| data.uid() != 0) {
            return Ok(Account::Other {
                uid: owner.uid(),
                gid: owner.gid(),
            });
        }
        CANDIDATES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Account::Other {
                uid: user.uid.as_raw(),
                gid: user.gid.as_raw(),
            })
            .ok_or(StartError::NoAccount)
    }

    /// Makes the command run as this account, without our groups and outside our directories.
    pub(crate) fn apply(self, command: &mut Command) {
        use std::os::unix::process::CommandExt as _;
        // The account may be unable to enter the directory we are in.
        command.current_dir("/");
        if let Account::Other { uid, gid } = self {
            command.gid(gid).uid(uid);
        }
    }

    /// Hands a file or directory to this account.
    pub(crate) fn own(self, path: &Path) -> Result<(), StartError> {
        match self {
            Account::Own => Ok(()),
            Account::Other { uid, gid } => {
                nix::unistd::chown(path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
                    .map_err(|errno| StartError::file("change the owner of", path)(errno.into()))
            }
        }
    }

    /// Whether this account may pass through a directory.
    pub(crate) fn may_enter(self, directory: &Metadata) -> bool {
        let mode = directory.mode();
        match self {
            Account::Own => true,
            Account::Other { uid, .. } if directory.uid() == uid => mode & 0o100 != 0,
            Account::Other { gid, .. } if directory.gid() == gid => mode & 0o010 != 0,
            Account::Other { .. } => mode & 0o001 != 0,
        }
    }
}
