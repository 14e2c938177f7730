//! Where mail goes, and from whom. Pure.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use lettre::Address;
use lettre::message::Mailbox;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use url::Url;

/// Longest wait for a mail server's answer to a command.
pub(super) const SMTP_PATIENCE: Duration = Duration::from_secs(10);

/// The mail settings.
#[derive(Clone, Debug)]
pub struct MailConfig {
    /// Where mail goes.
    pub delivery: Delivery,
    /// Who sends it.
    pub from: Sender,
}

impl MailConfig {
    /// Mail to files in `directory`, from an address that nobody can answer.
    pub fn to_files(directory: PathBuf) -> Self {
        let address = Address::new_dangerous("tickets", "localhost");
        Self {
            delivery: Delivery::Files(directory),
            from: Sender(Mailbox::new(Some("Tickets".to_owned()), address)),
        }
    }
}

/// Where mail goes.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// To a mail server.
    Smtp(SmtpServer),
    /// To files in this directory.
    Files(PathBuf),
}

/// The sender of mail: an address, with a name or without one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender(pub(crate) Mailbox);

impl Sender {
    /// The sender that `text` writes, such as `Tickets <tickets@example.org>`.
    pub fn read(text: &str) -> Result<Self, String> {
        let refused = || format!("`{text}` is no sender such as Tickets <tickets@example.org>");
        if text.chars().any(char::is_control) {
            return Err(refused());
        }
        let mailbox: Mailbox = text.trim().parse().map_err(|_| refused())?;
        if !mailbox.email.to_string().is_ascii() {
            return Err(format!(
                "`{text}`: write the address in ASCII, an international domain as xn--…"
            ));
        }
        Ok(Self(mailbox))
    }

    /// The domain of its address.
    pub(crate) fn domain(&self) -> &str {
        self.0.email.domain()
    }
}

/// How a connection is encrypted.
#[derive(Clone)]
pub(crate) enum Encryption {
    /// Not at all.
    None,
    /// From the first byte.
    Immediate(TlsParameters),
    /// After `STARTTLS`, which the server has to offer.
    StartTls(TlsParameters),
}

/// A mail server.
#[derive(Clone)]
pub struct SmtpServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) encryption: Encryption,
    /// User and password.
    pub(crate) login: Option<(String, String)>,
    /// The name that we say is ours.
    pub(crate) hello: ClientId,
    /// Longest wait for a connection, and for the answer to a command. The answer to a message may
    /// take several times as long, because servers look for viruses first.
    pub(crate) patience: Duration,
}

impl SmtpServer {
    /// The server that `url` names: `smtp://host:port` (with `?tls=required` for STARTTLS) or
    /// `smtps://host:port`, each with `user:password@` if it wants a login. `authorities` is a PEM
    /// file whose certificates are believed beside those of the system. The message of an error
    /// does not repeat the URL, which may hold a password.
    pub fn read(url: &str, authorities: Option<&[u8]>, hello: &str) -> Result<Self, String> {
        let url = Url::parse(url).map_err(|error| format!("it is no URL: {error}"))?;
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = host.ok_or("it names no host")?.to_owned();
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("it has a path or a fragment".to_owned());
        }
        let mut is_tls_required = false;
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("tls", "required") => is_tls_required = true,
                _ => return Err(format!("`{name}={value}` is not tls=required")),
            }
        }
        let tls = || tls(&host, authorities);
        let (default_port, encryption) = match url.scheme() {
            "smtp" if is_tls_required => (587, Encryption::StartTls(tls()?)),
            "smtp" => (25, Encryption::None),
            "smtps" => (465, Encryption::Immediate(tls()?)),
            _ => return Err("expected a URL that begins with smtp:// or smtps://".to_owned()),
        };
        let login = match (decoded(url.username())?, url.password()) {
            (user, Some(password)) if !user.is_empty() => Some((user, decoded(password)?)),
            (user, None) if user.is_empty() => None,
            _ => return Err("a login has both a user and a password".to_owned()),
        };
        let is_here = matches!(&*host, "localhost" | "127.0.0.1" | "[::1]");
        if login.is_some() && matches!(encryption, Encryption::None) && !is_here {
            return Err(
                "it would send a password without TLS: use smtps://, or add ?tls=required"
                    .to_owned(),
            );
        }
        Ok(Self {
            port: url.port().unwrap_or(default_port),
            // An IPv6 address is in brackets.
            host: host.trim_matches(['[', ']']).to_owned(),
            encryption,
            login,
            hello: hello
                .parse()
                .map_or_else(|_| ClientId::Domain(hello.to_owned()), ClientId::Ipv4),
            patience: SMTP_PATIENCE,
        })
    }

    /// The same server, for whose answers one waits at most so long.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience.min(SMTP_PATIENCE);
        self
    }
}

impl fmt::Debug for SmtpServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpServer")
            .field("host", &self.host)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

fn tls(host: &str, authorities: Option<&[u8]>) -> Result<TlsParameters, String> {
    let mut tls = TlsParameters::builder(host.trim_matches(['[', ']']).to_owned());
    if let Some(pem) = authorities {
        let certificate = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
        tls = tls.add_root_certificate(certificate);
    }
    tls.build().map_err(|error| error.to_string())
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    Ok(decoded.map_err(|error| error.to_string())?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<SmtpServer, String> {
        SmtpServer::read(url, None, "tickets.example")
    }

    #[test]
    fn ports_and_encryption_follow_the_scheme() {
        for (url, port) in [
            ("smtp://mail.example", 25),
            ("smtp://mail.example?tls=required", 587),
            ("smtps://mail.example", 465),
            ("smtp://127.0.0.1:2525/", 2525),
        ] {
            assert_eq!(read(url).unwrap().port, port, "{url}");
        }
    }

    #[test]
    fn logins_are_decoded_and_never_sent_in_the_clear() {
        let server = read("smtps://me%40example:p%2Fw@mail.example").unwrap();
        let login = ("me@example".to_owned(), "p/w".to_owned());
        assert_eq!(server.login, Some(login));
        assert!(!format!("{server:?}").contains("p/w"));
        let refused = read("smtp://me:pw@mail.example").unwrap_err();
        assert!(refused.contains("without TLS"), "{refused}");
        assert!(read("smtp://me:pw@localhost").is_ok());
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for url in [
            "mail.example:25",
            "http://mail.example",
            "smtp://",
            "smtp://me@mail.example",
            "smtp://mail.example/path",
            "smtp://mail.example?tls=maybe",
        ] {
            let refused = read(url).unwrap_err();
            assert!(!refused.contains("mail.example"), "{url}: {refused}");
        }
        for sender in [
            "",
            "nobody",
            "a@b@c",
            "A <a@b.example>\nBcc: x@y.example",
            "a@bücher.example",
        ] {
            assert!(Sender::read(sender).is_err(), "{sender}");
        }
        assert_eq!(
            Sender::read("Tickets <t@shop.example>").unwrap().domain(),
            "shop.example"
        );
        assert!(Sender::read("Thé Büro <t@shop.example>").is_ok());
    }
}
