//! Text messages: over the HTTP interface of a provider, or to files.
//!
//! The interface is described by settings, so that most providers fit: a URL, a login or a token,
//! and either form fields as Twilio has them or a JSON body of the operator's own.

use http::StatusCode;
use http::header::AUTHORIZATION;
use serde_json::Value;

use super::settings::{SmsDelivery, SmsProvider};
use super::told::{Attempt, Attempting, Channel, Stamp, Told};
use crate::mail::compose::{Letter, compose};
use crate::mail::files::MailFiles;
use crate::mail::settings::Sender;
use crate::notice::{ChannelKind, SendError};
use crate::payments::http_client::{ClientError, HttpClient};
use crate::payments::provider::ProviderError;

/// Longest text message, in characters: three parts.
const TEXT_CHARS_MAX: usize = 450;
/// What is shown of an answer that refuses a message, in characters.
const ANSWER_CHARS_MAX: usize = 200;
/// Fields of answers that may hold what the provider calls a message.
const RECEIPTS: [&str; 4] = ["sid", "id", "messageId", "message_id"];

/// Sends text messages.
pub(crate) enum SmsSender {
    Provider(Box<(SmsProvider, HttpClient)>),
    Files(MailFiles, Sender),
}

impl SmsSender {
    /// The sender of these settings; `None` when there are to be no text messages.
    pub(crate) fn new(
        delivery: &SmsDelivery,
        files_from: &Sender,
    ) -> Result<Option<Self>, ClientError> {
        Ok(match delivery {
            SmsDelivery::Off => None,
            SmsDelivery::Provider(provider) => {
                let client = HttpClient::new(provider.more_roots.as_deref())?;
                Some(Self::Provider(Box::new((provider.clone(), client))))
            }
            SmsDelivery::Files(directory) => Some(Self::Files(
                MailFiles::new(directory.clone()),
                files_from.clone(),
            )),
        })
    }

    async fn send_one(&self, told: &Told, stamp: Stamp<'_>) -> Result<Option<String>, SendError> {
        let Some(to) = &told.to.phone else {
            return Err(SendError::Refused(
                "no telephone number is known".to_owned(),
            ));
        };
        let text = text_of(told);
        match self {
            Self::Provider(provider) => {
                let (provider, client) = &**provider;
                ask(provider, client, to, &text, stamp).await
            }
            Self::Files(files, from) => {
                let letter = letter(to, &text);
                let message = compose(from, &letter, stamp).map_err(SendError::Refused)?;
                let (files, id, at) = (files.clone(), stamp.notice_id, stamp.at);
                let write = move || files.write(id, at, &message.bytes);
                match tokio::task::spawn_blocking(write).await {
                    Ok(Ok(())) => Ok(None),
                    Ok(Err(error)) => Err(SendError::Unavailable(error.to_string())),
                    Err(error) => Err(SendError::Unavailable(error.to_string())),
                }
            }
        }
    }
}

/// One message, whose title is said first. It has no link: whoever has that sees the booking, and
/// a number may be mistyped.
fn text_of(told: &Told) -> String {
    let short = &told.short;
    let said = format!("{}: {}", short.title, short.text);
    crate::mail::compose::one_line(&said, TEXT_CHARS_MAX)
}

/// A message in a file looks like mail, so that the same page shows it.
fn letter(to: &str, text: &str) -> Letter {
    let escaped = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    Letter {
        to: format!("{to}@sms.invalid"),
        subject: format!("SMS to {to}"),
        attachments: Vec::new(),
        text: format!("{text}\n"),
        html: format!("<p style=\"font-family:sans-serif\">{escaped}</p>"),
    }
}

async fn ask(
    provider: &SmsProvider,
    client: &HttpClient,
    to: &str,
    text: &str,
    stamp: Stamp<'_>,
) -> Result<Option<String>, SendError> {
    let id = stamp.notice_id.simple().to_string();
    let mut request = client.post(provider.url.clone());
    if let Some(authorization) = &provider.authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    // Providers that know it do not send a repetition twice.
    request = request.header("idempotency-key", &id);
    let request = match &provider.body {
        Some(body) => request.json(&filled(body, to, &provider.from, text, &id)),
        None => request.form(&[("To", to), ("From", &provider.from), ("Body", text)]),
    };
    let answer = client.send(request).await;
    let answer = answer.map_err(unanswered)?;
    judged(answer.status, &answer.body)
}

/// The body with its placeholders filled in. They are replaced in texts alone, so nothing in a
/// message can change the form of the body.
fn filled(body: &Value, to: &str, from: &str, text: &str, id: &str) -> Value {
    match body {
        Value::String(template) => {
            let mut out = String::new();
            let mut rest = template.as_str();
            while let Some((before, after)) = rest.split_once('{') {
                out.push_str(before);
                let known = [("to}", to), ("from}", from), ("text}", text), ("id}", id)];
                let found = known
                    .iter()
                    .find_map(|(name, value)| Some((*value, after.strip_prefix(name)?)));
                let (value, tail) = found.unwrap_or(("{", after));
                out.push_str(value);
                rest = tail;
            }
            out.push_str(rest);
            Value::String(out)
        }
        Value::Array(items) => items
            .iter()
            .map(|item| filled(item, to, from, text, id))
            .collect(),
        Value::Object(fields) => fields
            .iter()
            .map(|(name, value)| (name.clone(), filled(value, to, from, text, id)))
            .collect(),
        other => other.clone(),
    }
}

/// What a request without an answer means: only one that was never sent has surely not arrived.
fn unanswered(error: ProviderError) -> SendError {
    match error {
        ProviderError::NotSent(why) => SendError::Unavailable(why),
        lost => SendError::Unanswered(lost.to_string()),
    }
}

/// What an answer means: a failed login is about us, other refusals are about the message. A server
/// that failed may have taken it.
fn judged(status: StatusCode, body: &[u8]) -> Result<Option<String>, SendError> {
    let said = || {
        let text = String::from_utf8_lossy(body);
        let text = crate::mail::compose::one_line(&text, ANSWER_CHARS_MAX);
        format!("it answered {}: {text}", status.as_u16())
    };
    match status.as_u16() {
        200..=299 => {
            let body: Option<Value> = serde_json::from_slice(body).ok();
            let named = RECEIPTS.iter().find_map(|name| {
                let value = body.as_ref()?.get(name)?;
                value.as_str().map(str::to_owned)
            });
            Ok(named)
        }
        401..=403 | 407 | 503 => Err(SendError::Unavailable(said())),
        408 | 425 | 429 => Err(SendError::PutOff(said())),
        400..=499 => Err(SendError::Refused(said())),
        _ => Err(SendError::Unanswered(said())),
    }
}

impl Channel for SmsSender {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Sms
    }

    fn send<'a>(&'a self, told: &'a Told, stamp: Stamp<'a>) -> Attempting<'a> {
        Box::pin(async move { Attempt::from(self.send_one(told, stamp).await) })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_changes_the_form_of_the_body() {
        let body = json!({"to": "{to}", "m": [{"text": "{from}: {text} {x}"}], "n": 1});
        let text = r#"", "to": "+1 {to}"#;
        assert_eq!(
            filled(&body, "+49", "Us", text, "7"),
            json!({"to": "+49", "m": [{"text": format!("Us: {text} {{x}}")}], "n": 1})
        );
    }

    #[test]
    fn answers_are_about_us_or_about_the_message() {
        let judged = |status: u16, body: &str| {
            judged(StatusCode::from_u16(status).unwrap(), body.as_bytes())
        };
        assert_eq!(judged(201, r#"{"sid":"SM1"}"#), Ok(Some("SM1".to_owned())));
        assert_eq!(judged(200, "queued"), Ok(None));
        assert!(matches!(judged(400, "21211"), Err(SendError::Refused(_))));
        assert!(matches!(judged(401, ""), Err(SendError::Unavailable(_))));
        assert!(matches!(judged(429, ""), Err(SendError::PutOff(_))));
        assert!(matches!(judged(503, ""), Err(SendError::Unavailable(_))));
        assert!(matches!(judged(504, ""), Err(SendError::Unanswered(_))));
        let late = ProviderError::Unavailable("no answer in time".to_owned());
        assert!(matches!(unanswered(late), SendError::Unanswered(_)));
        let unsent = ProviderError::NotSent("no such host".to_owned());
        assert!(matches!(unanswered(unsent), SendError::Unavailable(_)));
    }
}
