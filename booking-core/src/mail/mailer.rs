//! The way that mail takes: a mail server, or files.

use super::compose::{Letter, compose};
use super::files::{MailFile, MailFiles};
use super::settings::{Delivery, MailConfig, Sender};
use super::smtp::Smtp;
use crate::channels::told::{Attempt, Attempting, Channel, Stamp, Told};
use crate::notice::{ChannelKind, SendError};

/// Sends mail.
pub(crate) struct Mailer {
    from: Sender,
    route: Route,
}

enum Route {
    Smtp(Smtp),
    Files(MailFiles),
}

impl Mailer {
    pub(crate) fn new(config: MailConfig) -> Self {
        Self {
            from: config.from,
            route: match config.delivery {
                Delivery::Smtp(server) => Route::Smtp(Smtp::new(server)),
                Delivery::Files(directory) => Route::Files(MailFiles::new(directory)),
            },
        }
    }

    /// The domain of Message-IDs.
    pub(crate) fn domain(&self) -> &str {
        self.from.domain()
    }

    /// Sends one message.
    async fn hand_over(
        &self,
        letter: &Letter,
        stamp: Stamp<'_>,
    ) -> Result<Option<String>, SendError> {
        let message = compose(&self.from, letter, stamp).map_err(SendError::Refused)?;
        match &self.route {
            Route::Smtp(smtp) => smtp.send(&message).await.map(Some),
            Route::Files(files) => {
                let (files, notice_id, at) = (files.clone(), stamp.notice_id, stamp.at);
                let write = move || files.write(notice_id, at, &message.bytes);
                let written = tokio::task::spawn_blocking(write).await;
                let told =
                    |error: &dyn std::fmt::Display| SendError::Unavailable(error.to_string());
                let written = written.map_err(|error| told(&error))?;
                written.map(|()| None).map_err(|error| told(&error))
            }
        }
    }

    /// Messages in files, newest first; none with a mail server.
    pub(crate) async fn files(&self) -> std::io::Result<Vec<MailFile>> {
        let Route::Files(files) = &self.route else {
            return Ok(Vec::new());
        };
        let files = files.clone();
        tokio::task::spawn_blocking(move || files.list()).await?
    }

    /// One message in a file.
    pub(crate) async fn file(&self, name: &str) -> std::io::Result<Option<MailFile>> {
        let Route::Files(files) = &self.route else {
            return Ok(None);
        };
        let (files, name) = (files.clone(), name.to_owned());
        tokio::task::spawn_blocking(move || files.read(&name)).await?
    }
}

impl Channel for Mailer {
    fn kind(&self) -> ChannelKind {
        ChannelKind::Email
    }

    fn send<'a>(&'a self, told: &'a Told, stamp: Stamp<'a>) -> Attempting<'a> {
        Box::pin(async move {
            let Some(to) = &told.to.email else {
                return Attempt::from(Err(SendError::Refused("no address is known".to_owned())));
            };
            let letter = Letter {
                to: to.clone(),
                subject: told.mail.subject.clone(),
                text: told.mail.text.clone(),
                html: told.mail.html.clone(),
                attachments: told.attachments.clone(),
            };
            Attempt::from(self.hand_over(&letter, stamp).await)
        })
    }
}
