//! PostgreSQL by TLS, verified.

use std::path::Path;

use embedded::{Servers, Want};
use line::records::connect_options;
use sqlx::{Connection, Executor, PgConnection};
use test_support::certificates::Certificates;
use tokio::process::Command;

use crate::starting::PROGRAM;

/// Has the private server at `url` speak TLS with the certificate of these files.
async fn encrypt(url: &str, certificates: &Certificates) {
    let mut server = PgConnection::connect(url).await.unwrap();
    for (file, name) in [
        (certificates.server(), "server.crt"),
        (certificates.key(), "server.key"),
    ] {
        let pem = std::fs::read_to_string(file).unwrap();
        // The server writes it as its own user: it takes no key that others may read.
        let written = format!(
            "copy (select unnest(string_to_array('{}', E'\\n'))) to program \
             'umask 077; cat > {name}'",
            pem.trim_end()
        );
        server.execute(sqlx::AssertSqlSafe(written)).await.unwrap();
    }
    for statement in ["alter system set ssl = on", "select pg_reload_conf()"] {
        server.execute(statement).await.unwrap();
    }
}

/// Connects, and tells whether that is by TLS.
async fn is_encrypted(url: &str) -> Result<bool, sqlx::Error> {
    let options = connect_options(url)?;
    let mut connection = PgConnection::connect_with(&options).await?;
    let question = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    sqlx::query_scalar(question)
        .fetch_one(&mut connection)
        .await
}

fn with(url: &str, mode: &str, authority: Option<&Path>) -> String {
    let between = if url.contains('?') { '&' } else { '?' };
    let mode = format!("{url}{between}sslmode={mode}");
    match authority {
        Some(file) => format!("{mode}&sslrootcert={}", file.display()),
        None => mode,
    }
}

#[tokio::test]
async fn the_database_is_believed_by_its_authority_and_the_file_of_authorities_is_one() {
    let directory = tempfile::tempdir().unwrap();
    let want = Want {
        redis: false,
        postgres: true,
    };
    let data = directory.path().join("servers");
    let servers = Servers::start(&data, want);
    let servers = servers.await.unwrap();
    let (certificates, other) = (Certificates::make(), Certificates::make());
    encrypt(&servers.database_admin_url().unwrap(), &certificates).await;
    let url = servers.database_url().unwrap();
    let (authority, others) = (certificates.authority(), other.authority());

    // The reload takes a moment.
    let verified = with(&url, "verify-full", Some(&authority));
    let encrypted = crate::test_app::eventually("TLS", async || is_encrypted(&verified).await.ok());
    assert!(encrypted.await);
    assert!(is_encrypted(&with(&url, "require", None)).await.unwrap());
    assert!(!is_encrypted(&with(&url, "disable", None)).await.unwrap());
    for refused in [
        with(&url, "verify-full", None),
        with(&url, "verify-full", Some(&others)),
        with(&url, "verify-ca", Some(&others)),
        // The certificate is for the address.
        with(
            &url.replace("127.0.0.1", "localhost"),
            "verify-full",
            Some(&authority),
        ),
    ] {
        let refused = is_encrypted(&refused).await;
        assert!(
            matches!(refused, Err(sqlx::Error::Tls(_) | sqlx::Error::Io(_))),
            "{refused:?}"
        );
    }

    // The program takes the authority from its own setting.
    let migrate = async |ca_file: &Path| {
        let mut command = Command::new(PROGRAM);
        command
            .arg("migrate")
            .current_dir(directory.path())
            .env_clear()
            .env("ROPELINE_DATABASE_URL", with(&url, "verify-full", None))
            .env("ROPELINE_REDIS_URL", "redis://127.0.0.1:1")
            .env("ROPELINE_CA_FILE", ca_file)
            .kill_on_drop(true);
        tokio::time::timeout(std::time::Duration::from_secs(20), command.output()).await
    };
    let done = migrate(&authority).await.unwrap().unwrap();
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    // It waits for a database that may be starting, and does not get it.
    let refused = migrate(&others).await;
    assert!(!refused.is_ok_and(|ended| ended.unwrap().status.success()));
    servers.stop().await;
}
