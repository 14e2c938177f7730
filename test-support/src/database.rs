//! A PostgreSQL database of its own for each test, copied from a migrated template.

use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use contract::{Clock, SystemClock};
use data_encoding::HEXLOWER;
use line::records::{Admissions, Audit, Database, Rooms, connect_options, pool_options};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tokio::sync::OnceCell;
use tokio_util::task::TaskTracker;

use crate::redis::redis_database_url;

/// Names the server, for example `postgres://postgres@127.0.0.1:5432/postgres`. The user needs
/// the right to create databases.
const SERVER_URL: &str = "ROPELINE_TEST_DATABASE_URL";

/// Key of the advisory lock under which the template is made.
const TEMPLATE_LOCK: i64 = 0x726f_7065;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A migrated, empty database, dropped at the end of the test.
pub struct TestDatabase {
    name: String,
    redis_url: OnceLock<String>,
}

impl TestDatabase {
    /// Copies the template. Needs the server that the environment names.
    pub async fn create() -> Self {
        let template = TEMPLATE.get_or_init(template_make).await;
        let name = format!(
            "ropeline_it_{}_{}_{}",
            SystemClock.now().as_ms(),
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let mut server = server().await;
        execute(
            &mut server,
            format!("create database {name} template {template}"),
        )
        .await;
        Self {
            name,
            redis_url: OnceLock::new(),
        }
    }

    /// The numbered database of Redis that belongs to it, for processes.
    pub fn redis_url(&self) -> &str {
        self.redis_url.get_or_init(redis_database_url)
    }

    /// How the line connects, for instance by way of a proxy.
    pub fn options(&self) -> PgConnectOptions {
        let options = connect_options(&server_url()).unwrap();
        options.database(&self.name)
    }

    /// What names this database to a process.
    pub fn url(&self) -> String {
        self.url_at(None)
    }

    /// The same by way of a proxy at `address`, if there is one.
    pub fn url_at(&self, address: Option<SocketAddr>) -> String {
        let mut options = self.plain();
        if let Some(address) = address {
            options = options.host(&address.ip().to_string()).port(address.port());
        }
        options.to_url_lossy().to_string()
    }

    /// Host and port of its server.
    pub fn server_address(&self) -> String {
        let server = self.plain();
        format!("{}:{}", server.get_host(), server.get_port())
    }

    /// Host and port of its server, user and password.
    pub fn server_login(&self) -> (String, String, String) {
        let url = self.plain().to_url_lossy();
        let password = url.password().unwrap_or_default().to_owned();
        (self.server_address(), url.username().to_owned(), password)
    }

    /// A connection without the limits that the product has.
    pub async fn connect(&self) -> PgConnection {
        self.plain().connect().await.unwrap()
    }

    /// Has new sessions refuse writes, as those with a primary that was demoted do, or no longer.
    /// When they begin to, the sessions there are end; when they take writes again, those that
    /// take none stay.
    pub async fn read_only_sessions(&self, are: bool) {
        let mut server = server().await;
        let word = if are { "on" } else { "off" };
        let name = &self.name;
        execute(
            &mut server,
            format!("alter database {name} set default_transaction_read_only = {word}"),
        )
        .await;
        if are {
            sqlx::query(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
            )
            .bind(name)
            .execute(&mut server)
            .await
            .unwrap();
        }
    }

    fn plain(&self) -> PgConnectOptions {
        let server = PgConnectOptions::from_str(&server_url()).unwrap();
        server.database(&self.name)
    }

    /// A pool with the product's own limits.
    pub fn pool(&self) -> PgPool {
        pool_options().connect_lazy_with(self.options())
    }

    /// The records in this database, on a pool of their own: a second one stands for a second
    /// gateway.
    pub fn records(&self) -> Records {
        Records::on(self.pool())
    }
}

impl Drop for TestDatabase {
    /// Drops the database in a thread that nobody waits for. The server lets go of a database only
    /// when its last connection is through with logging in, and a connection of the test's own
    /// that is in the middle of that gets no further while its runtime waits here: both would
    /// stand still until the server gives the login up after a minute.
    fn drop(&mut self) {
        let statement = format!("drop database if exists {} with (force)", self.name);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let mut server = server().await;
                execute(&mut server, statement).await;
            });
        });
    }
}

/// What a gateway holds of its database.
#[derive(Clone)]
pub struct Records {
    /// The pool that all below use.
    pub pool: PgPool,
    /// The handle of the database.
    pub database: Database,
    /// Rooms.
    pub rooms: Rooms,
    /// The admission log.
    pub admissions: Admissions,
    /// The audit log.
    pub audit: Audit,
    /// The work under way, also that of callers who have gone.
    pub tasks: TaskTracker,
}

impl Records {
    /// The records on `pool`.
    pub fn on(pool: PgPool) -> Self {
        let tasks = TaskTracker::new();
        let database = Database::new(pool.clone(), tasks.clone());
        Self {
            rooms: Rooms::new(database.clone()),
            admissions: Admissions::new(database.clone()),
            audit: Audit::new(database.clone()),
            database,
            pool,
            tasks,
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no configuration file"
)]
fn server_url() -> String {
    std::env::var(SERVER_URL).unwrap_or_else(|_| panic!("set {SERVER_URL}"))
}

async fn server() -> PgConnection {
    PgConnectOptions::from_str(&server_url())
        .unwrap()
        .connect()
        .await
        .unwrap()
}

async fn execute(connection: &mut PgConnection, statement: String) {
    // Names are made of digits and letters above.
    sqlx::query(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .unwrap();
}

/// The template is named after the migrations, so it is made once and then used by every run
/// until a migration changes.
async fn template_make() -> String {
    let mut hash = Sha256::new();
    for migration in migrations::MIGRATOR.iter() {
        hash.update(&migration.checksum);
    }
    let name = format!(
        "ropeline_template_{}",
        &HEXLOWER.encode(&hash.finalize())[..16]
    );
    let mut server = server().await;
    sqlx::query("select pg_advisory_lock($1)")
        .bind(TEMPLATE_LOCK)
        .execute(&mut server)
        .await
        .unwrap();
    let made = sqlx::query("select 1 from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut server)
        .await
        .unwrap();
    if made.is_none() {
        // Renamed only when complete, so a run that dies in between leaves no half template.
        let draft = format!("{name}_draft");
        execute(
            &mut server,
            format!("drop database if exists {draft} with (force)"),
        )
        .await;
        execute(&mut server, format!("create database {draft}")).await;
        let options = PgConnectOptions::from_str(&server_url()).unwrap();
        let mut connection = options.database(&draft).connect().await.unwrap();
        migrations::migrate(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        execute(
            &mut server,
            format!("alter database {draft} rename to {name}"),
        )
        .await;
    }
    server.close().await.unwrap();
    name
}
