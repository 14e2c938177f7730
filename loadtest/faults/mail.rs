//! The mail server: killed while it takes mail, so that gateways do not know whether it did, and
//! what must be true of the mail it took.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Client;
use serde::Deserialize;
use test_support::smtp_server::SmtpServer;
use tokio::time::Instant;

use crate::timetable::Fault;

/// How long mail that waits is waited for.
const WAIT_MAX: Duration = Duration::from_mins(4);
/// Time between two looks.
const PAUSE: Duration = Duration::from_secs(2);
/// What the subject of a confirmation begins with.
const CONFIRMS: &str = "Your tickets";
/// Notices that operators are shown at once.
const LISTED_MAX: usize = 1000;

/// Breaks the mail server for a while.
pub(crate) async fn suffer(server: &mut SmtpServer, fault: &Fault) {
    if let Fault::MailKilled { down } = *fault {
        server.stop().await;
        tokio::time::sleep(down).await;
        server.run().await;
    }
}

/// What operators see of mail.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    due_count: u64,
    failed_count: u64,
    notices: Vec<Notice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    message_id: String,
}

/// What the mail server took, and what is wrong with it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Mails {
    pub taken: usize,
    /// Messages that came again under the same Message-ID, which mail programs show once.
    pub repeated: usize,
    pub complaints: Vec<String>,
}

/// Waits until no mail waits any more, and judges what was taken.
pub(crate) async fn judge(server: &SmtpServer, admin: &str, token: &str) -> anyhow::Result<Mails> {
    let http = Client::builder().no_proxy().timeout(PAUSE * 10).build()?;
    let look = async || -> anyhow::Result<Listed> {
        let request = http.get(format!("{admin}/mail?status=SENT"));
        let answer = request
            .bearer_auth(token)
            .send()
            .await?
            .error_for_status()?;
        answer
            .json()
            .await
            .context("the list of mail cannot be read")
    };
    let until = Instant::now() + WAIT_MAX;
    let listed = loop {
        match look().await {
            Ok(listed) if listed.due_count == 0 => break listed,
            Err(error) if Instant::now() > until => return Err(error),
            Ok(listed) if Instant::now() > until => {
                bail!("{} mails were not sent in time", listed.due_count)
            }
            _ => tokio::time::sleep(PAUSE).await,
        }
    };
    let mut mails = compared(&server.taken(), &listed.notices);
    if listed.failed_count > 0 {
        let count = listed.failed_count;
        mails
            .complaints
            .push(format!("{count} mails were given up"));
    }
    Ok(mails)
}

/// Each fan buys once: two confirmations with different ids to one fan are one too many. What
/// counts as sent was taken.
fn compared(taken: &[String], sent: &[Notice]) -> Mails {
    let mut ids = BTreeSet::new();
    let mut confirmations: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut mails = Mails {
        taken: taken.len(),
        ..Mails::default()
    };
    for message in taken {
        let header = |name| header(message, name).unwrap_or_default();
        let id = header("message-id");
        if !ids.insert(id) {
            mails.repeated += 1;
        }
        if header("subject").starts_with(CONFIRMS) {
            confirmations.entry(header("to")).or_default().insert(id);
        }
    }
    let doubled = confirmations.iter().filter(|(_, ids)| ids.len() > 1);
    for (to, ids) in doubled {
        let count = ids.len();
        mails
            .complaints
            .push(format!("{count} different confirmations went to {to}"));
    }
    let bare = |id: &str| id.trim_matches(['<', '>']).to_owned();
    let taken: BTreeSet<String> = ids.iter().map(|id| bare(id)).collect();
    for notice in sent.iter().take(LISTED_MAX) {
        if !taken.contains(&bare(&notice.message_id)) {
            let id = &notice.message_id;
            mails
                .complaints
                .push(format!("{id} counts as sent and was not taken"));
        }
    }
    mails
}

/// The value of a header that is written on one line.
fn header<'a>(message: &'a str, name: &str) -> Option<&'a str> {
    let lines = message.lines().take_while(|line| !line.is_empty());
    let mut found = lines.filter_map(|line| line.split_once(':'));
    let value = found.find(|(found, _)| found.eq_ignore_ascii_case(name));
    value.map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(to: &str, id: &str) -> String {
        format!("To: {to}\r\nMessage-ID: <{id}>\r\nSubject: Your tickets: x\r\n\r\nSubject: no\r\n")
    }

    fn notice(id: &str) -> Notice {
        Notice {
            message_id: format!("<{id}>"),
        }
    }

    #[test]
    fn a_mail_that_comes_again_is_told_from_a_second_one() {
        let taken = [mail("a@x", "1"), mail("a@x", "1"), mail("b@x", "2")];
        let mails = compared(&taken, &[notice("1"), notice("2")]);
        assert_eq!((mails.taken, mails.repeated), (3, 1));
        assert!(mails.complaints.is_empty(), "{mails:?}");
        let mails = compared(&[mail("a@x", "1"), mail("a@x", "3")], &[]);
        assert_eq!(mails.complaints, ["2 different confirmations went to a@x"]);
    }

    #[test]
    fn what_counts_as_sent_and_was_not_taken_is_named() {
        let mails = compared(&[mail("a@x", "1")], &[notice("1"), notice("9")]);
        assert_eq!(mails.complaints.len(), 1, "{mails:?}");
    }
}
