//! What operators may read: a room's settings, figures and admission log, the server's check,
//! and the payment provider's ledger.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use contract::booking::{SeatMap, Show};
use contract::room::{AdmissionRecord, RoomList, RoomStats, RoomView};
use contract::{BookingId, HoldId, RoomId, ShowId, TicketId, Timestamp};
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::call::{Answer, CallError, IDLE_MAX, classify, fetch};
use crate::evidence::{Intent, ServerCheck};

/// How long an operator's read may take. The admission log of a large sale is long.
const READ_TIMEOUT: Duration = Duration::from_mins(5);
/// The longest line of the admission log.
const LOG_LINE_BYTES_MAX: usize = 4096;
/// Entries a page of the provider's ledger has.
const LEDGER_PAGE: usize = 100;
/// Pages of the provider's ledger that are read: a million payments.
const LEDGER_PAGES_MAX: usize = 10_000;
/// Breaches of the server's check that are kept.
const BREACHES_MAX: usize = 100;

/// The operators' listener.
pub(crate) struct OpsClient {
    http: reqwest::Client,
    base: String,
    token: String,
    room: RoomId,
}

fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .timeout(READ_TIMEOUT)
        .pool_idle_timeout(IDLE_MAX)
        .build()
}

impl OpsClient {
    /// The operators' listener at `url`, for `room`.
    pub(crate) fn new(url: &str, token: String, room: RoomId) -> reqwest::Result<Self> {
        Ok(Self {
            http: client()?,
            base: format!("{}/admin/v1", url.trim_end_matches('/')),
            token,
            room,
        })
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.http
            .get(format!("{}{path}", self.base))
            .bearer_auth(&self.token)
    }

    /// The room's settings.
    pub(crate) async fn room(&self) -> anyhow::Result<RoomView> {
        read(self.get(&format!("/rooms/{}", self.room)))
            .await
            .with_context(|| format!("cannot read the settings of room {}", self.room))
    }

    /// All rooms.
    pub(crate) async fn rooms(&self) -> anyhow::Result<RoomList> {
        read(self.get("/rooms"))
            .await
            .context("cannot read the rooms")
    }

    /// The room's figures.
    pub(crate) async fn stats(&self) -> anyhow::Result<RoomStats> {
        read(self.get(&format!("/rooms/{}/stats", self.room))).await
    }

    /// The room's admission log.
    pub(crate) async fn admissions(&self) -> anyhow::Result<Vec<AdmissionRecord>> {
        let request = self.get(&format!("/rooms/{}/admissions", self.room));
        let mut response = request.send().await.map_err(|error| classify(&error))?;
        if response.status() != StatusCode::OK {
            bail!("the admission log was refused with {}", response.status());
        }
        let mut records = Vec::new();
        let mut pending: Vec<u8> = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| classify(&error))? {
            for part in chunk.split_inclusive(|byte| *byte == b'\n') {
                pending.extend_from_slice(part);
                if pending.len() > LOG_LINE_BYTES_MAX {
                    bail!("a line of the admission log is over {LOG_LINE_BYTES_MAX} bytes");
                }
                if part.ends_with(b"\n") {
                    push_record(&mut records, &pending)?;
                    pending.clear();
                }
            }
        }
        push_record(&mut records, &pending)?;
        Ok(records)
    }

    /// Cancels tickets of a booking and gives their whole price back.
    pub(crate) async fn refund(
        &self,
        booking: BookingId,
        tickets: &[TicketId],
    ) -> Result<Answer, CallError> {
        let url = format!("{}/bookings/{booking}/refund", self.base);
        let order = json!({ "ticketIds": tickets, "reason": "The fan asked for it." });
        fetch(self.http.post(url).bearer_auth(&self.token).json(&order)).await
    }

    /// What the server's own check of its invariants finds.
    pub(crate) async fn check(&self) -> anyhow::Result<ServerCheck> {
        let answer = fetch(self.get("/check")).await?;
        if answer.status != StatusCode::OK {
            bail!("the server's check was refused with {}", answer.code());
        }
        breaches(&answer.json()?)
    }
}

fn push_record(records: &mut Vec<AdmissionRecord>, line: &[u8]) -> anyhow::Result<()> {
    if !line.trim_ascii().is_empty() {
        let record = serde_json::from_slice(line)
            .with_context(|| format!("line {} of the admission log", records.len() + 1))?;
        records.push(record);
    }
    Ok(())
}

/// The breaches in the answer of the check: `clean` says whether there are any, and the lists
/// of the document name them.
fn breaches(answer: &Value) -> anyhow::Result<ServerCheck> {
    let clean = answer
        .get("clean")
        .and_then(Value::as_bool)
        .context("the server's check does not say whether it is clean")?;
    let mut breaches = Vec::new();
    if !clean {
        let members = answer.as_object().into_iter().flatten();
        for (name, value) in members.filter(|(name, _)| *name != "clean") {
            for entry in value.as_array().into_iter().flatten().take(BREACHES_MAX) {
                let violations = entry.get("violations").and_then(Value::as_i64);
                if violations != Some(0) {
                    breaches.push(format!("{name}: {entry}"));
                }
            }
        }
        if breaches.is_empty() {
            breaches.push(answer.to_string());
        }
    }
    Ok(ServerCheck { breaches })
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> anyhow::Result<T> {
    let answer = fetch(request).await?;
    if answer.status != StatusCode::OK {
        bail!("refused with {} ({})", answer.status, answer.code());
    }
    Ok(answer.json()?)
}

/// Reads the seat map as anyone may.
pub(crate) async fn public_seat_map(
    http: &reqwest::Client,
    url: &str,
    show: &ShowId,
) -> anyhow::Result<SeatMap> {
    let url = format!("{}/api/v1/shows/{show}/seatmap", url.trim_end_matches('/'));
    read(http.get(url))
        .await
        .with_context(|| format!("cannot read the seat map of show {show}"))
}

/// Reads a show as anyone may.
pub(crate) async fn public_show(
    http: &reqwest::Client,
    url: &str,
    show: &ShowId,
) -> anyhow::Result<Show> {
    let url = format!("{}/api/v1/shows/{show}", url.trim_end_matches('/'));
    read(http.get(url))
        .await
        .with_context(|| format!("cannot read show {show}"))
}

/// The payment provider, read with its secret.
pub(crate) struct LedgerClient {
    http: reqwest::Client,
    url: Url,
    secret: String,
}

/// A page of the provider's list.
#[derive(Deserialize)]
struct Page<T> {
    data: Vec<T>,
    has_more: bool,
}

#[derive(Deserialize)]
struct IntentEntry {
    id: String,
    #[serde(default)]
    created: i64,
    #[serde(default)]
    amount_received: i64,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

#[derive(Deserialize)]
struct RefundEntry {
    id: String,
    #[serde(default)]
    created: i64,
    amount: i64,
    payment_intent: Option<String>,
    status: Option<String>,
}

/// A line of the simulator's ledger.
#[derive(Deserialize)]
struct LedgerLine {
    payment_intent: String,
    created: i64,
    captured: i64,
    refunded: i64,
    #[serde(default)]
    metadata: HashMap<String, String>,
}

impl From<LedgerLine> for Intent {
    fn from(line: LedgerLine) -> Self {
        Self {
            hold: line.metadata.values().find_map(|value| value.parse().ok()),
            id: line.payment_intent,
            captured_minor: line.captured,
            refunded_minor: line.refunded,
        }
    }
}

trait Entry: DeserializeOwned {
    fn id(&self) -> &str;
    fn created(&self) -> i64;
}

impl Entry for IntentEntry {
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl Entry for RefundEntry {
    fn id(&self) -> &str {
        &self.id
    }
    fn created(&self) -> i64 {
        self.created
    }
}

impl LedgerClient {
    /// The provider at `url`.
    pub(crate) fn new(url: Url, secret: String) -> reqwest::Result<Self> {
        Ok(Self {
            http: client()?,
            url,
            secret,
        })
    }

    /// All payments made since `since`.
    pub(crate) async fn intents(&self, since: Timestamp) -> anyhow::Result<Vec<Intent>> {
        if let Some(books) = self.simulated(since).await? {
            return Ok(books);
        }
        let since = since.as_unix_seconds();
        let intents: Vec<IntentEntry> = self.list("/v1/payment_intents", since).await?;
        let refunds: Vec<RefundEntry> = self.list("/v1/refunds", since).await?;
        let mut refunded: HashMap<String, i64> = HashMap::new();
        for refund in refunds {
            let counts = !matches!(refund.status.as_deref(), Some("failed" | "canceled"));
            if let Some(intent) = refund.payment_intent.filter(|_| counts) {
                *refunded.entry(intent).or_default() += refund.amount;
            }
        }
        let intents = intents.into_iter().map(|entry| Intent {
            hold: entry
                .metadata
                .values()
                .find_map(|value| value.parse::<HoldId>().ok()),
            captured_minor: entry.amount_received,
            refunded_minor: refunded.get(&entry.id).copied().unwrap_or_default(),
            id: entry.id,
        });
        Ok(intents.collect())
    }

    /// The books of the payment simulator, of both providers that it speaks for; `None` if the
    /// provider is another.
    async fn simulated(&self, since: Timestamp) -> anyhow::Result<Option<Vec<Intent>>> {
        let request = self.http.get(self.url.join("/_sim/ledger")?);
        let answer = fetch(request.bearer_auth(&self.secret)).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if answer.status != StatusCode::OK {
            bail!("the simulator's ledger was refused with {}", answer.status);
        }
        let lines: Vec<LedgerLine> = answer.json()?;
        let lines = lines.into_iter();
        let recent = lines.filter(|line| line.created >= since.as_unix_seconds());
        Ok(Some(recent.map(Intent::from).collect()))
    }

    /// Reads a list, newest first, until an entry is older than `since`.
    async fn list<T: Entry>(&self, path: &str, since: i64) -> anyhow::Result<Vec<T>> {
        let url = self.url.join(path)?;
        let mut entries: Vec<T> = Vec::new();
        for _ in 0..LEDGER_PAGES_MAX {
            let mut query = vec![("limit", LEDGER_PAGE.to_string())];
            if let Some(last) = entries.last() {
                query.push(("starting_after", last.id().to_owned()));
            }
            let request = self.http.get(url.clone()).query(&query);
            let page: Page<T> = read(request.bearer_auth(&self.secret))
                .await
                .with_context(|| format!("cannot read the provider's {path}"))?;
            let over = !page.has_more || page.data.last().is_none_or(|it| it.created() < since);
            entries.extend(page.data.into_iter().filter(|it| it.created() >= since));
            if over {
                return Ok(entries);
            }
        }
        bail!("the provider's {path} has more than {LEDGER_PAGES_MAX} pages")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_is_read_by_its_verdict() {
        let check = |answer| breaches(&answer).map(|check| check.breaches.len());
        let kept = json!({"name": "I01", "violations": 0});
        let broken = json!({"name": "I02", "violations": 3});
        let clean = json!({"clean": true, "invariants": [kept]});
        assert_eq!(check(clean).unwrap(), 0);
        let unclean = json!({"clean": false, "invariants": [kept, broken]});
        assert_eq!(check(unclean).unwrap(), 1);
        assert_eq!(check(json!({"clean": false})).unwrap(), 1);
        assert!(check(json!({"status": "fine"})).is_err());
    }

    #[test]
    fn blank_lines_of_the_log_are_skipped_and_damaged_ones_named() {
        let mut records = Vec::new();
        push_record(&mut records, b"\n").unwrap();
        assert!(records.is_empty());
        let error = push_record(&mut records, b"{\"seq\"\n").unwrap_err();
        assert!(error.to_string().contains("line 1"));
    }
}
