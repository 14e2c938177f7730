//! `wrk` as the client that sends as fast as answers come.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use crate::processes::cpu_time;
use crate::rounds::Sample;

/// Connections of a round.
pub(crate) const CONNECTIONS: u32 = 128;
/// Threads of the client.
const THREADS: u32 = 2;
/// Share of answers that may be refusals before a round says nothing.
const REFUSED_MAX: f64 = 0.01;
/// Where the line with the result begins.
const RESULT: &str = "RESULT ";

/// Says the result in one line: answers, microseconds, errors on sockets, refusals.
const DONE: &str = r#"
done = function(summary)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests, summary.duration,
        e.connect + e.read + e.write + e.timeout, e.status))
end
"#;

/// Joins, each with a nonce never used before: 22 letters of base64url, 12 that tell this client
/// from all others, 9 that count, and one that fits at the end.
const JOIN: &str = r#"
local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local threads = 0
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end
function init(args)
    math.randomseed(tonumber(args[1]) * 64 + number)
    local own = ""
    for _ = 1, 12 do
        local at = math.random(1, 64)
        own = own .. letters:sub(at, at)
    end
    -- The length of {"nonce":"..."} with 22 letters.
    head = "POST " .. wrk.path .. " HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port ..
        "\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n{\"nonce\":\"" .. own
    count = 0
end
function request()
    count = count + 1
    return head .. string.format("%09d", count) .. "A\"}"
end
"#;

/// Reads, each with the next of a few cookies: no visitor has more requests underway at once than
/// a gateway allows.
const READ: &str = r#"
local requests = {}
local at = 0
function init(args)
    for i, cookie in ipairs(cookies) do
        requests[i] = wrk.format("GET", nil, {Cookie = cookie, Host = wrk.host .. ":" .. wrk.port})
    end
end
function request()
    at = at % #requests + 1
    return requests[at]
end
"#;

/// A prepared load.
pub(crate) struct Load {
    url: String,
    script: PathBuf,
    headers: Vec<&'static str>,
}

/// What a round of load came to.
#[derive(Debug, PartialEq, Eq)]
struct Tally {
    answers: u64,
    micros: u64,
    broken: u64,
    refused: u64,
}

impl Load {
    /// Reads `url`.
    pub(crate) fn reads(dir: &Path, url: String) -> anyhow::Result<Self> {
        Self::of(dir, url, "read.lua", DONE)
    }

    /// Reads `url` with each of `cookies` in turn.
    pub(crate) fn reads_as(dir: &Path, url: String, cookies: &[String]) -> anyhow::Result<Self> {
        // Cookies are letters, digits and a few marks, as Lua writes them too.
        let cookies = format!("cookies = {{\"{}\"}}\n", cookies.join("\", \""));
        let script = format!("{cookies}{READ}{DONE}");
        Self::of(dir, url, "read-as.lua", &script)
    }

    /// The same on a fresh connection for each request.
    pub(crate) fn on_fresh_connections(mut self) -> Self {
        self.headers.push("Connection: close");
        self
    }

    /// The same, asked for compressed by gzip.
    pub(crate) fn compressed(mut self) -> Self {
        self.headers.push("Accept-Encoding: gzip");
        self
    }

    fn of(dir: &Path, url: String, name: &str, text: &str) -> anyhow::Result<Self> {
        let script = dir.join(name);
        fs::write(&script, text)?;
        Ok(Self {
            url,
            script,
            headers: vec![],
        })
    }

    /// Joins at `url`.
    pub(crate) fn joins(dir: &Path, url: String) -> anyhow::Result<Self> {
        Self::of(dir, url, "join.lua", &format!("{JOIN}{DONE}"))
    }

    /// Joins at `url`, each on a fresh connection.
    pub(crate) fn joins_afresh(dir: &Path, url: String) -> anyhow::Result<Self> {
        let join = JOIN.replace(
            "\\r\\nContent-Type",
            "\\r\\nConnection: close\\r\\nContent-Type",
        );
        Self::of(dir, url, "join-afresh.lua", &format!("{join}{DONE}"))
    }

    /// Sends for as long as `lasts`; `servers` finds the processes that serve it.
    pub(crate) async fn send(
        &self,
        lasts: Duration,
        seed: u64,
        servers: impl Fn() -> Vec<u32>,
    ) -> anyhow::Result<Sample> {
        let mut command = Command::new("wrk");
        command
            .arg(format!("-t{THREADS}"))
            .arg(format!("-c{CONNECTIONS}"))
            .arg(format!("-d{}s", lasts.as_secs()))
            .arg("-s")
            .arg(&self.script);
        for header in &self.headers {
            command.arg("-H").arg(header);
        }
        command.arg(&self.url).arg("--").arg(seed.to_string());
        let before = cpu_time(&servers());
        let output = command
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("could not start wrk; scripts/install-servers --bench installs it")?;
        let used = cpu_time(&servers()).saturating_sub(before);
        let text = String::from_utf8_lossy(&output.stdout);
        let tally = parse(&text).with_context(|| format!("wrk did not finish: {text}"))?;
        tally.sample(used)
    }
}

impl Tally {
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    fn sample(&self, used: Duration) -> anyhow::Result<Sample> {
        let failed = (self.broken + self.refused) as f64;
        if self.answers == 0 || failed > REFUSED_MAX * self.answers as f64 {
            bail!("the load was not served: {self:?}");
        }
        let served = (self.answers - self.refused) as f64;
        Ok(Sample {
            per_second: served * 1e6 / self.micros as f64,
            cpu_micros: used.as_secs_f64() * 1e6 / served,
        })
    }
}

fn parse(output: &str) -> Option<Tally> {
    let line = output.lines().find_map(|line| line.strip_prefix(RESULT))?;
    let mut numbers = line.split(' ').map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Tally {
        answers: next()?,
        micros: next()?,
        broken: next()?,
        refused: next()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_is_found_among_the_rest() {
        let tally = parse("Running 3s test\nRESULT 3000 2000000 0 1\n").unwrap();
        let sample = tally.sample(Duration::from_millis(300)).unwrap();
        assert!((sample.per_second - 1499.5).abs() < 0.1);
        assert!((sample.cpu_micros - 100.0).abs() < 0.1);
        assert!(parse("nothing").is_none());
    }

    #[test]
    fn refusals_are_no_service() {
        let tally = parse("RESULT 1000 1000000 0 20").unwrap();
        assert!(tally.sample(Duration::ZERO).is_err());
    }
}
