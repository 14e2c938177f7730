//! The address of a database, for programs of PostgreSQL.

use std::process::Command;

use percent_encoding::percent_decode_str;
use url::Url;

use crate::error::BackupError;

/// Options of the gateway's driver, and as which of libpq's they go on.
const OPTIONS: [(&str, Option<&str>); 6] = [
    ("statement-cache-capacity", None),
    ("ssl-mode", Some("sslmode")),
    ("ssl-root-cert", Some("sslrootcert")),
    ("ssl-ca", Some("sslrootcert")),
    ("ssl-cert", Some("sslcert")),
    ("ssl-key", Some("sslkey")),
];

/// The address of a database.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// As libpq reads it, without the password.
    url: String,
    password: Option<String>,
}

impl Address {
    /// The address in a URL as the gateway takes it.
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let wrong = |why: String| BackupError::Url(why);
        let mut url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong(format!("`{}` is not postgres", url.scheme())));
        }
        let mut password = url.password().map(decoded);
        // Without a host, as for a socket, there is no password in the URL either.
        let _no_host = url.set_password(None);
        let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
        if !pairs.is_empty() {
            let kept = pairs.into_iter().filter_map(|(name, value)| {
                if name == "password" {
                    password = Some(value);
                    return None;
                }
                match OPTIONS.iter().find(|(theirs, _)| *theirs == name) {
                    Some((_, ours)) => ours.map(|ours| (ours.to_owned(), value)),
                    None => Some((name, value)),
                }
            });
            let kept: Vec<String> = kept.map(|(name, value)| option(&name, &value)).collect();
            url.set_query((!kept.is_empty()).then(|| kept.join("&")).as_deref());
        }
        Ok(Self {
            url: url.into(),
            password,
        })
    }

    /// Makes the program connect there. The password is not among the arguments, which everyone on
    /// the machine can read.
    pub(crate) fn apply(&self, command: &mut Command) {
        command.arg("--dbname").arg(&self.url).arg("--no-password");
        command.env("PGAPPNAME", "ropeline backup");
        // Messages are read for their words.
        command.env("LC_MESSAGES", "C");
        if let Some(password) = &self.password {
            command.env("PGPASSWORD", password);
        }
    }
}

/// An option as libpq reads it: it takes `+` for itself and not for a space.
fn option(name: &str, value: &str) -> String {
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    format!("{name}={}", encoded.replace('+', "%20"))
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(given: &str, url: &str, password: Option<&str>) {
        let address = Address::parse(given).unwrap();
        assert_eq!(address.url, url);
        assert_eq!(address.password.as_deref(), password);
    }

    #[test]
    fn the_password_is_taken_out_and_options_are_translated() {
        check(
            "postgres://ropeline:p%40ss%25@db:5432/ropeline",
            "postgres://ropeline@db:5432/ropeline",
            Some("p@ss%"),
        );
        check(
            "postgresql://db/x?ssl-mode=verify-full&ssl-ca=/etc/my%20ca.pem&statement-cache-capacity=0",
            "postgresql://db/x?sslmode=verify-full&sslrootcert=%2Fetc%2Fmy%20ca.pem",
            None,
        );
        check(
            "postgres://db/x?statement-cache-capacity=0",
            "postgres://db/x",
            None,
        );
        check(
            "postgres:///x?host=/run/postgresql",
            "postgres:///x?host=%2Frun%2Fpostgresql",
            None,
        );
    }

    #[test]
    fn other_urls_are_refused() {
        for url in ["", "here", "mysql://db/x", "redis://db"] {
            assert!(Address::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn the_password_is_no_argument() {
        let mut command = Command::new("psql");
        for url in [
            "postgres://u:geheim@db/x",
            "postgres://db/x?password=geheim",
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.password.as_deref(), Some("geheim"));
            address.apply(&mut command);
        }
        assert!(!format!("{:?}", command.get_args().collect::<Vec<_>>()).contains("geheim"));
    }
}
