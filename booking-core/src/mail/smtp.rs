//! The mail server.
//!
//! The steps of a transaction are taken one by one, because a refusal means different things in
//! each: one of the connection, the login or the sender is about us, one of the recipient or the
//! content is about the message. A connection is used again only after a whole transaction; one
//! that was left in the middle, also by a time limit, is dropped, because the answers that it still
//! gets would be taken for those of the next message.

use std::time::Duration;

use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{Extension, MailBodyParameter, MailParameter};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::compose::{Composed, one_line};
use super::settings::{Encryption, SMTP_PATIENCE, SmtpServer};
use crate::config::MAIL_AT_ONCE;
use crate::notice::SendError;

/// How long a connection is kept without use. Servers end them after some minutes.
const IDLE_MAX: Duration = Duration::from_secs(30);
/// How much longer the answer to the content may take than that to a command.
const CONTENT_PATIENCES: u32 = 6;
/// Longest attempt: the sender twice and a new connection, because the first may have been closed
/// at rest, the recipient, the announcement of the content, and the content.
pub(super) const ATTEMPT_MAX: Duration =
    Duration::from_secs(SMTP_PATIENCE.as_secs() * (6 + CONTENT_PATIENCES as u64));

/// What is kept of the answer to the content, in characters: most servers tell the id under which
/// they have the message.
const RECEIPT_CHARS_MAX: usize = 200;

/// Reply code of a server that ends the connection.
const CLOSING: u16 = 421;

/// A mail server with connections at rest.
pub(super) struct Smtp {
    server: SmtpServer,
    idle: Mutex<Vec<(AsyncSmtpConnection, Instant)>>,
}

impl Smtp {
    pub(super) fn new(server: SmtpServer) -> Self {
        Self {
            server,
            idle: Mutex::default(),
        }
    }

    /// Hands over one message. Returns the server's answer to its content, the receipt.
    pub(super) async fn send(&self, message: &Composed) -> Result<String, SendError> {
        let (mut connection, was_idle) = self.connection().await?;
        let mut begun = self.begin(&mut connection, message).await;
        if was_idle && matches!(begun, Err(SendError::Unavailable(_))) {
            // It may have been closed at rest, and nothing was handed over yet.
            connection = self.connect().await?;
            begun = self.begin(&mut connection, message).await;
        }
        begun?;
        let outcome = self.transfer(&mut connection, message).await;
        match &outcome {
            Ok(_) => self.keep(connection).await,
            // The server is well and only this message was not taken.
            Err(SendError::PutOff(_) | SendError::Refused(_)) => {
                if within(self.server.patience, connection.command(Rset))
                    .await
                    .is_ok()
                {
                    self.keep(connection).await;
                }
            }
            Err(SendError::Unavailable(_) | SendError::Unanswered(_)) => {}
        }
        outcome
    }

    /// A connection, and whether it was at rest.
    async fn connection(&self) -> Result<(AsyncSmtpConnection, bool), SendError> {
        let mut idle = self.idle.lock().await;
        let now = Instant::now();
        idle.retain(|(_, since)| now.duration_since(*since) < IDLE_MAX);
        let rested = idle.pop();
        drop(idle);
        match rested {
            Some((connection, _)) => Ok((connection, true)),
            None => Ok((self.connect().await?, false)),
        }
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SendError> {
        let server = &self.server;
        let connecting = async {
            let (wrapper, starttls) = match &server.encryption {
                Encryption::None => (None, None),
                Encryption::Immediate(tls) => (Some(tls.clone()), None),
                Encryption::StartTls(tls) => (None, Some(tls.clone())),
            };
            let address = (server.host.as_str(), server.port);
            let hello = &server.hello;
            let connected =
                AsyncSmtpConnection::connect_tokio1(address, None, hello, wrapper, None);
            let mut connection = connected.await?;
            if let Some(tls) = starttls {
                connection.starttls(tls, hello).await?;
            }
            if let Some((user, password)) = &server.login {
                let login = Credentials::new(user.clone(), password.clone());
                let mechanisms = [Mechanism::Plain, Mechanism::Login];
                connection.auth(&mechanisms, &login).await?;
            }
            Ok(connection)
        };
        let connected = within(server.patience, connecting).await;
        connected.map_err(Failure::of_us)
    }

    async fn keep(&self, connection: AsyncSmtpConnection) {
        let mut idle = self.idle.lock().await;
        if idle.len() < MAIL_AT_ONCE {
            idle.push((connection, Instant::now()));
        }
    }

    /// Names the sender. Nothing about the message is known to the server yet.
    async fn begin(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Composed,
    ) -> Result<(), SendError> {
        let mut parameters = Vec::new();
        let supports = |extension| connection.server_info().supports_feature(extension);
        if message.needs_utf8() {
            if !supports(Extension::SmtpUtfEight) {
                return Err(SendError::Refused(
                    "it takes no addresses with letters beyond ASCII (SMTPUTF8)".to_owned(),
                ));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // The content is in ASCII but for such an address in a header.
        if !message.bytes.is_ascii() && supports(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let command = Mail::new(Some(message.from.clone()), parameters);
        let named = within(self.server.patience, connection.command(command)).await;
        named.map(drop).map_err(Failure::of_us)
    }

    /// Names the recipient and hands over the content.
    async fn transfer(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Composed,
    ) -> Result<String, SendError> {
        let recipient = Rcpt::new(message.to.clone(), Vec::new());
        let patience = self.server.patience;
        let of_message = Failure::of_the_message;
        within(patience, connection.command(recipient))
            .await
            .map_err(of_message)?;
        within(patience, connection.command(Data))
            .await
            .map_err(of_message)?;
        let answer = within(
            patience * CONTENT_PATIENCES,
            connection.message(&message.bytes),
        )
        .await
        .map_err(of_message)?;
        let said: Vec<&str> = answer.message().collect();
        Ok(one_line(&said.join(" "), RECEIPT_CHARS_MAX))
    }
}

/// Why a step failed.
enum Failure {
    Smtp(Error),
    NoAnswer,
}

impl Failure {
    /// As a failure that is about us or the server.
    fn of_us(self) -> SendError {
        SendError::Unavailable(self.told())
    }

    /// As a failure that may be about the message.
    fn of_the_message(self) -> SendError {
        let told = self.told();
        match &self {
            Self::Smtp(error) if error.is_permanent() => SendError::Refused(told),
            Self::Smtp(error) if error.is_transient() => {
                let code = error.status().map(u16::from);
                if code == Some(CLOSING) {
                    SendError::Unavailable(told)
                } else {
                    SendError::PutOff(told)
                }
            }
            Self::Smtp(_) | Self::NoAnswer => SendError::Unavailable(told),
        }
    }

    fn told(&self) -> String {
        match self {
            Self::NoAnswer => "it does not answer".to_owned(),
            Self::Smtp(error) => error.to_string(),
        }
    }
}

async fn within<T>(
    patience: Duration,
    step: impl Future<Output = Result<T, Error>>,
) -> Result<T, Failure> {
    match tokio::time::timeout(patience, step).await {
        Ok(outcome) => outcome.map_err(Failure::Smtp),
        Err(_) => Err(Failure::NoAnswer),
    }
}
