//! What is told, to whom, and the trait of channels. Pure.

use std::future::Future;
use std::pin::Pin;

use contract::Timestamp;
use pages::mail::{MailText, ShortText};
use uuid::Uuid;

use crate::notice::{ChannelKind, NoticeKind, SendError};
use crate::ticket_files::BookedShow;

/// A browser that takes push messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Browser {
    /// Its row, if it is one of a booking.
    pub(crate) subscription_id: Option<Uuid>,
    /// Where its push service takes messages.
    pub(crate) endpoint: String,
    /// Its public key, an uncompressed point.
    pub(crate) p256dh: Vec<u8>,
    /// Its secret.
    pub(crate) auth: Vec<u8>,
}

/// How somebody can be told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Recipient {
    pub(crate) email: Option<String>,
    /// E.164.
    pub(crate) phone: Option<String>,
    pub(crate) browsers: Vec<Browser>,
    /// What the customer wishes.
    pub(crate) preferred: Option<ChannelKind>,
    /// The language in which the recipient reads, such as `de`.
    pub(crate) language: String,
}

/// A file that comes with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Attachment {
    pub(crate) name: String,
    pub(crate) media_type: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// A notice in words, for every channel.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) kind: NoticeKind,
    pub(crate) to: Recipient,
    pub(crate) mail: MailText,
    pub(crate) short: ShortText,
    /// The tickets whose files come with the mail. The files are made only when mail is tried.
    pub(crate) tickets: Option<Box<BookedShow>>,
    /// The files that come with the mail.
    pub(crate) attachments: Vec<Attachment>,
}

/// What makes a message the same at every attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) notice_id: Uuid,
    /// Without angle brackets.
    pub(crate) message_id: &'a str,
    pub(crate) at: Timestamp,
}

/// What became of an attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// What the provider calls the message that it took, if it says so; or why it did not.
    pub(crate) outcome: Result<Option<String>, SendError>,
    /// Browsers that are gone for good.
    pub(crate) gone: Vec<Uuid>,
}

impl From<Result<Option<String>, SendError>> for Attempt {
    fn from(outcome: Result<Option<String>, SendError>) -> Self {
        Self {
            outcome,
            gone: Vec::new(),
        }
    }
}

/// An attempt that is under way.
pub(crate) type Attempting<'a> = Pin<Box<dyn Future<Output = Attempt> + Send + 'a>>;

/// A way to a fan.
pub(crate) trait Channel: Send + Sync {
    /// Which one it is.
    fn kind(&self) -> ChannelKind;

    /// Hands a message over. An attempt ends within the time that the lease of a notice allows.
    fn send<'a>(&'a self, told: &'a Told, stamp: Stamp<'a>) -> Attempting<'a>;
}
