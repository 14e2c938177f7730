//! A database for each test, copied from a migrated template.

use std::process;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::sync::OnceCell;

/// Serialises the making of the template among test processes.
const TEMPLATE_LOCK: i64 = 0x726f_7065_6c69_6e65;

static TEMPLATE: OnceCell<String> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database that is dropped with this value.
pub(crate) struct TestDatabase {
    server: PgConnectOptions,
    name: String,
}

impl TestDatabase {
    pub(crate) async fn new() -> Self {
        let server = server();
        let template = TEMPLATE.get_or_init(|| make_template(server.clone())).await;
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("booking_it_{}_{count}", process::id());
        let mut admin = server.connect().await.unwrap();
        let create = format!("create database {name} template {template}");
        admin.execute(AssertSqlSafe(create)).await.unwrap();
        admin.close().await.unwrap();
        Self { server, name }
    }

    /// A URL of the database, on another host and port if given.
    pub(crate) fn url_at(&self, address: Option<std::net::SocketAddr>) -> String {
        let mut options = self.server.clone().database(&self.name);
        if let Some(address) = address {
            options = options.host(&address.ip().to_string()).port(address.port());
        }
        options.to_url_lossy().to_string()
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(None)
    }

    /// Where the server listens.
    pub(crate) fn server_address(&self) -> (String, u16) {
        (self.server.get_host().to_owned(), self.server.get_port())
    }

    pub(crate) async fn connect(&self) -> PgConnection {
        self.server
            .clone()
            .database(&self.name)
            .connect()
            .await
            .unwrap()
    }
}

impl Drop for TestDatabase {
    /// Drops the database in a thread that nobody waits for. The server lets go of a database only
    /// when its last connection is through with logging in, and a connection of the test's own
    /// that is in the middle of that gets no further while its runtime waits here: both would
    /// stand still until the server gives the login up after a minute.
    fn drop(&mut self) {
        let server = self.server.clone();
        let drop = format!("drop database if exists {} with (force)", self.name);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let dropped: sqlx::Result<()> = runtime.unwrap().block_on(async {
                let mut admin = server.connect().await?;
                admin.execute(AssertSqlSafe(drop)).await?;
                admin.close().await
            });
            if let Err(error) = dropped {
                eprintln!("a test database was not dropped: {error}");
            }
        });
    }
}

fn server() -> PgConnectOptions {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are configured by their environment"
    )]
    let url = std::env::var("ROPELINE_TEST_DATABASE_URL")
        .expect("ROPELINE_TEST_DATABASE_URL names a PostgreSQL server for tests");
    PgConnectOptions::from_str(&url).unwrap()
}

/// A migrated database whose name says by which migrations, so that it is made once.
async fn make_template(server: PgConnectOptions) -> String {
    let mut checksum = 0_u32;
    for migration in migrations::MIGRATOR.iter() {
        for byte in migration.checksum.iter() {
            checksum = checksum.wrapping_mul(31).wrapping_add(u32::from(*byte));
        }
    }
    let name = format!("booking_template_{checksum:08x}");
    let building = format!("{name}_building");
    let mut admin = server.connect().await.unwrap();
    let lock = format!("select pg_advisory_lock({TEMPLATE_LOCK})");
    admin.execute(AssertSqlSafe(lock)).await.unwrap();
    let known = sqlx::query("select 1 from pg_database where datname = $1")
        .bind(&name)
        .fetch_optional(&mut admin)
        .await
        .unwrap();
    if known.is_none() {
        for statement in [
            format!("drop database if exists {building} with (force)"),
            format!("create database {building}"),
        ] {
            admin.execute(AssertSqlSafe(statement)).await.unwrap();
        }
        let mut connection = server.clone().database(&building).connect().await.unwrap();
        migrations::MIGRATOR.run(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        // Renamed only when complete: a run that breaks off leaves no half-made template.
        let rename = format!("alter database {building} rename to {name}");
        admin.execute(AssertSqlSafe(rename)).await.unwrap();
    }
    admin.close().await.unwrap();
    name
}
