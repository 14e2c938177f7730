//! `ropeline mail`: mail to fans that waits or was given up.

use comfy_table::Cell;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::args::{MailCommand, MailStatus, RetryArgs};
use crate::client::AdminClient;
use crate::console::{Console, counted, table_of};
use crate::failure::{Exit, Failure};

/// Mails in one state, and how many there are of those that need anybody.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MailList {
    /// How many wait to be sent.
    pub due_count: u64,
    /// How many were given up and not sent again.
    pub failed_count: u64,
    /// The mails.
    pub notices: Vec<Notice>,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A mail to a fan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Notice {
    /// Its id.
    pub notice_id: String,
    /// What it tells.
    pub kind: String,
    /// Attempts that the mail server judged.
    pub attempt_count: i64,
    /// When what it tells happened.
    pub created_at: String,
    /// The last failure.
    pub last_error: Option<String>,
    /// What else a gateway tells.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// How many mails are sent again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retried {
    /// So many.
    pub retried_count: u64,
}

/// Runs the command.
pub(crate) async fn run(
    command: &MailCommand,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    match command {
        MailCommand::List { status } => list(*status, client, console).await,
        MailCommand::Retry(args) => retry(args, client, console).await,
    }
}

async fn list(
    status: MailStatus,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let status = match status {
        MailStatus::Due => "DUE",
        MailStatus::Sent => "SENT",
        MailStatus::Failed => "FAILED",
        MailStatus::Moot => "MOOT",
    };
    let list: MailList = client.get(&format!("mail?status={status}")).await?;
    if console.is_json() {
        console.document(&list)?;
        return Ok(Exit::Fine);
    }
    if !list.notices.is_empty() {
        let mut table = table_of(&["mail", "kind", "of", "attempts", "last failure"]);
        for notice in &list.notices {
            table.add_row([
                Cell::new(&notice.notice_id),
                Cell::new(&notice.kind),
                Cell::new(&notice.created_at),
                Cell::new(notice.attempt_count),
                Cell::new(notice.last_error.as_deref().unwrap_or_default()),
            ]);
        }
        console.table(table)?;
    }
    console.text(&format!(
        "{} to be sent, {} given up.",
        counted(list.due_count, "mail waits", "mails wait"),
        list.failed_count
    ))?;
    Ok(Exit::Fine)
}

async fn retry(args: &RetryArgs, client: &AdminClient, console: &Console) -> Result<Exit, Failure> {
    let path = match args.notice {
        Some(notice) => format!("mail/{notice}/retry"),
        None => "mail/retry".to_owned(),
    };
    let retried: Retried = client.post(&path).await?;
    if console.is_json() {
        console.document(&retried)?;
    } else {
        let mails = counted(retried.retried_count, "mail is", "mails are");
        console.text(&format!("{mails} sent again."))?;
    }
    Ok(Exit::Fine)
}
