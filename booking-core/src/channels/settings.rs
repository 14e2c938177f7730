//! Where text messages go, and how their provider wants to be asked. Pure.

use std::path::PathBuf;

use serde_json::Value;
use url::Url;

/// Where text messages go.
#[derive(Clone, Debug, Default)]
pub enum SmsDelivery {
    /// Nowhere: none are offered.
    #[default]
    Off,
    /// To a provider.
    Provider(SmsProvider),
    /// To files in this directory, which has the mail too.
    Files(PathBuf),
}

/// How a provider wants to be asked.
#[derive(Clone)]
pub struct SmsProvider {
    pub(super) url: String,
    /// The value of `Authorization`.
    pub(super) authorization: Option<String>,
    pub(super) from: String,
    /// The JSON body with `{to}`, `{from}`, `{text}` and `{id}`; form fields when absent.
    pub(super) body: Option<Value>,
    /// Certificates of authorities, as PEM, that are believed beside those of the system.
    pub(super) more_roots: Option<Vec<u8>>,
}

/// The settings of a provider.
#[derive(Clone, Copy, Debug, Default)]
pub struct SmsSettings<'a> {
    /// Where messages are posted.
    pub url: &'a str,
    /// `user:password`, or a token.
    pub token: Option<&'a str>,
    /// The sender: a number or a name.
    pub from: Option<&'a str>,
    /// The JSON body.
    pub body: Option<&'a str>,
    /// More authorities, as PEM.
    pub more_roots: Option<&'a [u8]>,
}

impl SmsProvider {
    /// Reads the settings. The message of an error repeats no secret.
    pub fn read(settings: SmsSettings<'_>) -> Result<Self, String> {
        let url = Url::parse(settings.url).map_err(|error| format!("it is no URL: {error}"))?;
        let host = url.host_str().ok_or("it names no host")?;
        let is_here = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => return Err("it would send numbers without TLS: use https://".to_owned()),
        }
        let from = settings.from.map(str::trim).filter(|from| !from.is_empty());
        let body = match settings.body {
            None => None,
            Some(text) => {
                let body: Value = serde_json::from_str(text)
                    .map_err(|error| format!("the body is no JSON: {error}"))?;
                let written = body.to_string();
                for field in ["{to}", "{text}"] {
                    if !written.contains(field) {
                        return Err(format!("the body lacks {field}"));
                    }
                }
                Some(body)
            }
        };
        let is_sendable = |token: &str| token.bytes().all(|byte| byte.is_ascii_graphic());
        let authorization = match settings.token.map(str::trim) {
            None | Some("") => None,
            Some(token) if !is_sendable(token) => {
                return Err("the token has letters that cannot be sent in a header".to_owned());
            }
            Some(login) if login.contains(':') => {
                let encoded = data_encoding::BASE64.encode(login.as_bytes());
                Some(format!("Basic {encoded}"))
            }
            Some(token) => Some(format!("Bearer {token}")),
        };
        Ok(Self {
            url: settings.url.to_owned(),
            authorization,
            from: from.ok_or("a sender is needed")?.to_owned(),
            body,
            more_roots: settings.more_roots.map(<[u8]>::to_vec),
        })
    }
}

impl std::fmt::Debug for SmsProvider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmsProvider").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str, body: Option<&str>) -> Result<SmsProvider, String> {
        SmsProvider::read(SmsSettings {
            url,
            token: Some("AC1:secret"),
            from: Some("+15005550006"),
            body,
            more_roots: None,
        })
    }

    #[test]
    fn what_can_never_work_is_refused() {
        for (url, body) in [
            ("nowhere", None),
            ("http://sms.example/send", None),
            ("https://sms.example/send", Some("{to} {text}")),
            ("https://sms.example/send", Some(r#"{"to":"{to}"}"#)),
        ] {
            let refused = read(url, body).unwrap_err();
            assert!(!refused.contains("secret"), "{refused}");
        }
        let fine = read(
            "https://sms.example/send",
            Some(r#"{"a":["{to}","{text}"]}"#),
        )
        .unwrap();
        assert_eq!(
            fine.authorization.as_deref(),
            Some("Basic QUMxOnNlY3JldA==")
        );
        assert!(!format!("{fine:?}").contains("QUMx"));
    }
}
