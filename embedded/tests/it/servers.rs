//! Start, stop, crash and recovery.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use embedded::{Servers, StartError, Want};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::time::Instant;

use crate::outside::{eventually, is_open, noted_pid, port, redis_get, redis_set, sql, sql_text};

const BOTH: Want = Want {
    redis: true,
    postgres: true,
};
const ONLY_REDIS: Want = Want {
    redis: true,
    postgres: false,
};

#[tokio::test]
async fn data_is_found_again_after_a_stop() {
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();
    println!("first start: {:?}", began.elapsed());
    let (redis, postgres) = (
        servers.redis_url().unwrap(),
        servers.database_url().unwrap(),
    );
    redis_set(&redis, "place", "17").await.unwrap();
    sql(
        &postgres,
        "CREATE TABLE booking (seat text); INSERT INTO booking VALUES ('A-1')",
    )
    .await
    .unwrap();
    servers.stop().await;
    assert!(
        !is_open(port(&redis)) && !is_open(port(&postgres)),
        "still listening after stop"
    );

    let began = Instant::now();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();
    println!("later start: {:?}", began.elapsed());

    assert_eq!(
        redis_get(&servers.redis_url().unwrap(), "place")
            .await
            .unwrap()
            .as_deref(),
        Some("17")
    );
    assert_eq!(
        sql_text(&servers.database_url().unwrap(), "SELECT seat FROM booking")
            .await
            .unwrap(),
        "A-1"
    );
    servers.stop().await;
}

#[tokio::test]
async fn servers_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();
    let (redis, postgres) = (
        servers.redis_url().unwrap(),
        servers.database_url().unwrap(),
    );

    let open = format!("redis://127.0.0.1:{}", port(&redis));
    assert!(
        redis_set(&open, "place", "1").await.is_err(),
        "Redis answers without password"
    );
    let open = format!("postgres://postgres@127.0.0.1:{}/postgres", port(&postgres));
    assert!(
        sql(&open, "SELECT 1").await.is_err(),
        "PostgreSQL answers without password"
    );
    for name in [
        "redis.password",
        "postgres.password",
        "postgres-admin.password",
    ] {
        let file = dir.path().join(name);
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600,
            "{name}"
        );
        let password = fs::read_to_string(file).unwrap();
        for server in ["redis", "postgres"] {
            let pid = noted_pid(dir.path(), server);
            for shown in ["cmdline", "environ"] {
                let shown = fs::read(format!("/proc/{pid}/{shown}")).unwrap();
                assert!(
                    !String::from_utf8_lossy(&shown).contains(password.trim()),
                    "{server}"
                );
            }
        }
    }
    servers.stop().await;
}

#[tokio::test]
async fn settings_keep_what_was_committed() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();
    let postgres = servers.database_url().unwrap();

    for (statement, wanted) in [
        ("SHOW synchronous_commit", "on"),
        ("SHOW fsync", "on"),
        ("SHOW data_checksums", "on"),
        ("SHOW lc_collate", "C.UTF-8"),
        ("SHOW max_connections", "100"),
        ("SHOW idle_in_transaction_session_timeout", "1min"),
        (
            "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user",
            "false",
        ),
    ] {
        assert_eq!(
            sql_text(&postgres, statement).await.unwrap(),
            wanted,
            "{statement}"
        );
    }
    let client = redis::Client::open(servers.redis_url().unwrap()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    for (setting, wanted) in [
        ("appendonly", "yes"),
        ("appendfsync", "everysec"),
        ("save", ""),
        ("maxmemory", "0"),
    ] {
        let found: Vec<String> = redis::cmd("CONFIG")
            .arg("GET")
            .arg(setting)
            .query_async(&mut connection)
            .await
            .unwrap();
        assert_eq!(found, [setting, wanted]);
    }
    servers.stop().await;
}

#[tokio::test]
async fn nothing_runs_as_root() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();

    for server in ["redis", "postgres"] {
        let pid = noted_pid(dir.path(), server);
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let uids = status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .unwrap();
        assert!(
            uids.split_whitespace().all(|uid| uid != "0"),
            "{server} runs as root: {uids}"
        );
    }
    servers.stop().await;
}

#[tokio::test]
async fn second_start_on_the_same_directory_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::start(dir.path(), ONLY_REDIS).await.unwrap();

    let refused = Servers::start(dir.path(), ONLY_REDIS).await.unwrap_err();

    assert!(matches!(refused, StartError::InUse { .. }), "{refused}");
    redis_set(&servers.redis_url().unwrap(), "place", "1")
        .await
        .unwrap();
    servers.stop().await;
}

#[tokio::test]
async fn killed_servers_come_back_on_their_port_with_their_data() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(dir.path(), BOTH).await.unwrap();
    let (redis, postgres) = (
        servers.redis_url().unwrap(),
        servers.database_url().unwrap(),
    );
    sql(
        &postgres,
        "CREATE TABLE booking (seat text); INSERT INTO booking VALUES ('A-1')",
    )
    .await
    .unwrap();
    let before = ["redis", "postgres"].map(|server| noted_pid(dir.path(), server));

    let killed = async {
        for pid in before {
            kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
        }
        eventually("Redis is back", async || {
            redis_set(&redis, "place", "1").await.is_ok()
        })
        .await;
        eventually("PostgreSQL is back", async || {
            sql_text(&postgres, "SELECT seat FROM booking")
                .await
                .is_ok_and(|seat| seat == "A-1")
        })
        .await;
    };
    tokio::select! {
        exhausted = servers.supervise() => panic!("{exhausted}"),
        () = killed => {}
    }

    let after = ["redis", "postgres"].map(|server| noted_pid(dir.path(), server));
    assert!(before[0] != after[0] && before[1] != after[1]);
    servers.stop().await;
    assert!(
        !is_open(port(&redis)) && !is_open(port(&postgres)),
        "a restarted server was not stopped"
    );
}

#[tokio::test]
async fn server_that_keeps_ending_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut servers = Servers::start(dir.path(), ONLY_REDIS).await.unwrap();
    let appended = dir.path().join("redis/appendonlydir");
    // Data that Redis cannot load: every restart ends at once.
    for entry in fs::read_dir(appended).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_some_and(|extension| extension == "manifest")
        {
            fs::write(path, "nonsense\n").unwrap();
        }
    }
    kill(
        Pid::from_raw(noted_pid(dir.path(), "redis")),
        Signal::SIGKILL,
    )
    .unwrap();

    let exhausted = servers.supervise().await;

    assert_eq!(exhausted.server, "Redis");
    assert!(
        matches!(exhausted.source, Some(StartError::Ended { .. })),
        "{exhausted:?}"
    );
}

#[tokio::test]
async fn dropped_servers_stop() {
    let dir = tempfile::tempdir().unwrap();
    let servers = Servers::start(dir.path(), BOTH).await.unwrap();
    let ports = [
        servers.redis_url().unwrap(),
        servers.database_url().unwrap(),
    ]
    .map(|url| port(&url));

    drop(servers);

    eventually("ports are closed", async || {
        !ports.iter().any(|port| is_open(*port))
    })
    .await;
    // The next start waits for servers that still write their last bytes.
    Servers::start(dir.path(), BOTH).await.unwrap().stop().await;
}

#[tokio::test]
async fn leftover_of_the_same_directory_is_stopped() {
    let dir = tempfile::tempdir().unwrap();
    Servers::start(dir.path(), ONLY_REDIS)
        .await
        .unwrap()
        .stop()
        .await;
    let mut leftover = Command::new("redis-server")
        .args(["--port", "0", "--unixsocket", "leftover.sock", "--dir"])
        .arg(dir.path().join("redis"))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let home = dir.path().join("redis").canonicalize().unwrap();
    eventually("the leftover works in the directory", async || {
        fs::read_link(format!("/proc/{}/cwd", leftover.id())).is_ok_and(|cwd| cwd == home)
    })
    .await;
    fs::write(
        dir.path().join("redis.pid"),
        format!("{} 127.0.0.1:0\n", leftover.id()),
    )
    .unwrap();

    let servers = Servers::start(dir.path(), ONLY_REDIS).await.unwrap();

    assert!(
        leftover.try_wait().unwrap().is_some(),
        "the leftover still runs"
    );
    servers.stop().await;
}

#[tokio::test]
async fn foreign_server_is_neither_used_nor_stopped() {
    let dir = tempfile::tempdir().unwrap();
    let foreign_dir = tempfile::tempdir().unwrap();
    let foreign = Servers::start(foreign_dir.path(), ONLY_REDIS)
        .await
        .unwrap();
    let foreign_url = foreign.redis_url().unwrap();
    redis_set(&foreign_url, "whose", "foreign").await.unwrap();
    // A stale note names the foreign server's id, as after a reboot.
    fs::write(
        dir.path().join("redis.pid"),
        format!(
            "{} 127.0.0.1:{}\n",
            noted_pid(foreign_dir.path(), "redis"),
            port(&foreign_url)
        ),
    )
    .unwrap();

    let servers = Servers::start(dir.path(), ONLY_REDIS).await.unwrap();
    let url = servers.redis_url().unwrap();
    assert_ne!(port(&url), port(&foreign_url));
    assert_eq!(redis_get(&url, "whose").await.unwrap(), None);
    servers.stop().await;

    assert_eq!(
        redis_get(&foreign_url, "whose").await.unwrap().as_deref(),
        Some("foreign")
    );
    foreign.stop().await;
}
