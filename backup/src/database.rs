//! The database, through the client programs of PostgreSQL.
//!
//! One session of `psql` takes a snapshot and says what is in it; `pg_dump` dumps that snapshot. So
//! the manifest speaks of what is in the dump and not of a moment before or after.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;

use crate::address::Address;
use crate::error::BackupError;
use crate::programs::{Program, program};

/// The oldest `psql` that answers what is asked here.
const PSQL_MIN: u32 = 13;
/// How much of what a program says is kept.
const SAID_BYTES_MAX: u64 = 4096;
/// What stands between the columns of an answer.
const BETWEEN: char = '\t';

/// What a database is asked before anything else.
const LOOK: &str = r"
select 'server', current_setting('server_version_num')::int / 10000;
select 'gateway', to_regclass('place_key_seals') is not null and to_regclass('_sqlx_migrations') is not null;
";

/// What there is, but for what belongs to the server and to extensions.
const OBJECTS: &str = r"
select 'object', format('%I.%I', n.nspname, c.relname)
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
  and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
  and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
order by 2 limit 4;
";

/// The installation of a database.
const INSTALLATION: &str = r"
select 'migration', coalesce(max(version), 0) from _sqlx_migrations;
select 'ticket-key', encode(public_key, 'hex') from ticket_keys order by key_id;
select 'seal', signing_key_id from ticket_key_seals where key_id = (select max(key_id) from ticket_keys);
select 'place-seal', signing_key_id from place_key_seals;
";

/// A snapshot that others may take over until the session ends. The server must not end the
/// session while a dump with many tables is being prepared.
const SNAPSHOT: &str = r"
begin isolation level repeatable read, read only;
set local idle_in_transaction_session_timeout = 0;
set local statement_timeout = 0;
select 'snapshot', pg_export_snapshot();
select 'taken-at', extract(epoch from transaction_timestamp())::bigint;
";

/// What a database is, seen from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Look {
    /// The major version of the server.
    pub(crate) server_version: u32,
    /// Whether a gateway has set it up.
    pub(crate) is_gateways: bool,
}

/// Which installation a database has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Installed {
    /// The newest migration.
    pub(crate) migration: i64,
    /// The public halves of its ticket keys, the oldest first, in hexadecimal.
    pub(crate) ticket_keys: Vec<String>,
    /// Ids of the signing keys that open the newest ticket key and the secret of places.
    pub(crate) sealed_for: Vec<String>,
}

/// A database that is asked with `psql`.
pub(crate) struct Database {
    address: Address,
    psql: Program,
}

impl Database {
    pub(crate) fn new(address: Address) -> Result<Self, BackupError> {
        let psql = program("psql", PSQL_MIN)?;
        Ok(Self { address, psql })
    }

    /// What the database is.
    pub(crate) fn look(&self) -> Result<Look, BackupError> {
        let rows = self.ask(LOOK)?;
        let server_version = value(&rows, "server")?;
        Ok(Look {
            server_version: number(server_version)?,
            is_gateways: value(&rows, "gateway")? == "t",
        })
    }

    /// Names of some of what the database has; none if it is empty.
    pub(crate) fn objects(&self) -> Result<Vec<String>, BackupError> {
        let rows = self.ask(OBJECTS)?;
        Ok(values(&rows, "object"))
    }

    /// Which installation the database has.
    pub(crate) fn installed(&self) -> Result<Installed, BackupError> {
        installed(&self.ask(INSTALLATION)?)
    }

    /// Tells the planner what was restored. It would learn that by itself, a minute or two later.
    pub(crate) fn analyze(&self) {
        let _learns_later = self.ask("analyze;");
    }

    fn ask(&self, statements: &str) -> Result<Vec<Row>, BackupError> {
        let mut session = self.session()?;
        let rows = session.ask(statements)?;
        session.end();
        Ok(rows)
    }

    fn session(&self) -> Result<Session, BackupError> {
        let mut command = Command::new(&self.psql.path);
        self.address.apply(&mut command);
        command.args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]);
        command.args(["--field-separator", "\t", "--set", "ON_ERROR_STOP=1"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = Running::start("psql", command)?;
        let (input, output) = (running.child.stdin.take(), running.child.stdout.take());
        let (Some(input), Some(output)) = (input, output) else {
            return Err(running.failed());
        };
        Ok(Session {
            input,
            output: BufReader::new(output),
            running,
        })
    }

    /// Takes a snapshot and begins to dump it.
    pub(crate) fn dump(&self, look: &Look) -> Result<Dump, BackupError> {
        let pg_dump = program("pg_dump", look.server_version)?;
        let mut session = self.session()?;
        let mut rows = session.ask(SNAPSHOT)?;
        rows.extend(session.ask(INSTALLATION)?);
        let mut command = Command::new(&pg_dump.path);
        self.address.apply(&mut command);
        command.args(["--format=custom", "--no-owner", "--no-privileges"]);
        command.arg("--snapshot").arg(value(&rows, "snapshot")?);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut running = Running::start("pg_dump", command)?;
        let Some(output) = running.child.stdout.take() else {
            return Err(running.failed());
        };
        Ok(Dump {
            installed: installed(&rows)?,
            taken_at: number(value(&rows, "taken-at")?)?,
            version: pg_dump.version,
            output,
            running,
            session: Some(session),
        })
    }

    /// Begins to restore a dump that `pg_dump` of this version made. Nothing of it is in the
    /// database until all of it is.
    pub(crate) fn restore(&self, dump_version: u32) -> Result<Restore, BackupError> {
        let pg_restore = program("pg_restore", dump_version)?;
        let mut command = Command::new(&pg_restore.path);
        self.address.apply(&mut command);
        command.args(["--single-transaction", "--exit-on-error"]);
        command.args(["--no-owner", "--no-privileges"]);
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut running = Running::start("pg_restore", command)?;
        let Some(input) = running.child.stdin.take() else {
            return Err(running.failed());
        };
        Ok(Restore { input, running })
    }
}

/// A dump under way.
pub(crate) struct Dump {
    /// Which installation is in it.
    pub(crate) installed: Installed,
    /// When the snapshot was taken, in seconds since 1970.
    pub(crate) taken_at: i64,
    /// The version of `pg_dump`.
    pub(crate) version: u32,
    output: ChildStdout,
    running: Running,
    session: Option<Session>,
}

impl Read for Dump {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.output.read(buffer)?;
        // Whoever has begun to write has taken the snapshot over.
        if let Some(session) = self.session.take() {
            session.end();
        }
        Ok(read)
    }
}

impl Dump {
    /// Waits for the end, without which the dump is not whole.
    pub(crate) fn finish(self) -> Result<(), BackupError> {
        drop(self.output);
        self.running.finish()
    }
}

/// A restore under way.
pub(crate) struct Restore {
    input: ChildStdin,
    running: Running,
}

impl Write for Restore {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.input.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.input.flush()
    }
}

impl Restore {
    /// Waits until the database has all of it.
    pub(crate) fn finish(self) -> Result<(), BackupError> {
        drop(self.input);
        self.running.finish()
    }

    /// Ends it, so that the database has nothing of it, and tells what `pg_restore` said if it had
    /// ended by itself.
    pub(crate) fn abandon(self) -> Option<BackupError> {
        let Restore { input, mut running } = self;
        // Killed while it waits for more, it cannot take the end of the input for that of the dump.
        let ended_itself = matches!(running.child.try_wait(), Ok(Some(_)));
        let _ended_already = running.child.kill();
        drop(input);
        let failed = running.failed();
        ended_itself.then_some(failed)
    }
}

/// A line of an answer: what it is, and its value.
type Row = (String, String);

fn values(rows: &[Row], what: &str) -> Vec<String> {
    let of_it = rows.iter().filter(|(name, _)| name == what);
    of_it.map(|(_, value)| value.clone()).collect()
}

fn value<'a>(rows: &'a [Row], what: &str) -> Result<&'a str, BackupError> {
    let found = rows.iter().find(|(name, _)| name == what);
    let found = found.ok_or_else(|| BackupError::Answer(format!("it says no {what}")));
    found.map(|(_, value)| &**value)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, BackupError> {
    let parsed = text.parse();
    parsed.map_err(|_| BackupError::Answer(format!("`{text}` is no number")))
}

fn installed(rows: &[Row]) -> Result<Installed, BackupError> {
    let places = values(rows, "place-seal");
    let sealed_for = values(rows, "seal");
    Ok(Installed {
        migration: number(value(rows, "migration")?)?,
        ticket_keys: values(rows, "ticket-key"),
        sealed_for: sealed_for
            .into_iter()
            .filter(|key| places.is_empty() || places.contains(key))
            .collect(),
    })
}

/// A session of `psql`.
struct Session {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    running: Running,
}

impl Session {
    /// Runs statements, each of which answers with rows of a name and a value.
    fn ask(&mut self, statements: &str) -> Result<Vec<Row>, BackupError> {
        // A session that has ended says why on its own.
        let _ended = writeln!(self.input, "{statements}\nselect 'end', '';");
        let _ended = self.input.flush();
        let mut rows = Vec::new();
        loop {
            let mut line = String::new();
            if self.output.read_line(&mut line).unwrap_or_default() == 0 {
                return Err(self.running.failed());
            }
            match line.trim_end_matches('\n').split_once(BETWEEN) {
                Some(("end", _)) => return Ok(rows),
                Some((name, value)) => rows.push((name.to_owned(), value.to_owned())),
                None => return Err(BackupError::Answer(line)),
            }
        }
    }

    fn end(self) {
        let Session {
            input, mut running, ..
        } = self;
        drop(input);
        // What was asked was answered.
        let _answered = running.child.wait();
    }
}

/// A program that runs, and what it says.
struct Running {
    name: &'static str,
    child: Child,
    said: Option<JoinHandle<String>>,
}

impl Running {
    fn start(name: &'static str, mut command: Command) -> Result<Self, BackupError> {
        command.stderr(Stdio::piped());
        let failed = |error: std::io::Error| BackupError::Failed {
            program: name,
            said: error.to_string(),
        };
        let mut child = command.spawn().map_err(failed)?;
        let said = child.stderr.take().map(listen);
        Ok(Self { name, child, said })
    }

    fn finish(mut self) -> Result<(), BackupError> {
        match self.child.wait() {
            Ok(status) if status.success() => Ok(()),
            Ok(_) | Err(_) => Err(self.failed()),
        }
    }

    /// Why it failed. Ends it if it still runs.
    fn failed(&mut self) -> BackupError {
        let _ended_already = self.child.kill();
        let status = self.child.wait();
        let said = self.said.take().and_then(|said| said.join().ok());
        let said = said
            .map(|said| said.trim().to_owned())
            .filter(|said| !said.is_empty());
        let ended = || status.map_or_else(|error| error.to_string(), |status| status.to_string());
        BackupError::Failed {
            program: self.name,
            said: said.unwrap_or_else(ended),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.child.kill();
        let _ended_already = self.child.wait();
    }
}

/// Keeps the beginning of what a program says, which names the first failure, and reads the rest,
/// so that it never waits for a reader.
fn listen(mut errors: ChildStderr) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let _closed = (&mut errors).take(SAID_BYTES_MAX).read_to_end(&mut said);
        let _closed = std::io::copy(&mut errors, &mut std::io::sink());
        String::from_utf8_lossy(&said).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_counts_only_if_it_opens_both_secrets() {
        let row = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut rows = vec![
            row("migration", "7"),
            row("ticket-key", "aa"),
            row("seal", "one"),
            row("seal", "two"),
        ];
        assert_eq!(installed(&rows).unwrap().sealed_for, ["one", "two"]);
        rows.push(row("place-seal", "two"));
        assert_eq!(installed(&rows).unwrap().sealed_for, ["two"]);
        assert!(installed(&[]).is_err());
    }
}
