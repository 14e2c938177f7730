//! The settings as they are in force, for people, without what is secret in them.

use std::fmt::Write;
use std::path::Path;

use super::settings::{FILE_DEFAULT, Settings, Show, given};

/// Every setting with its effective value and where that comes from, one a line.
pub(super) fn settings(said: &Settings, file: &Settings) -> String {
    let named = given(said.config.clone());
    let source = match &named {
        Some(_) => "flag or environment",
        None if Path::new(FILE_DEFAULT).exists() => "default",
        None => "default; there is no such file",
    };
    let config = named.unwrap_or_else(|| FILE_DEFAULT.to_owned());
    let lengths = said.all().into_iter().map(|(name, ..)| name.len());
    let widest = lengths.max().unwrap_or(0);
    let mut text = format!("{:<widest$} {config}  ({source})\n", "ROPELINE_CONFIG");
    let is_given = |text: Option<&str>| text.is_some_and(|text| !text.trim().is_empty());
    for ((name, said, show, default), (_, filed, ..)) in said.all().into_iter().zip(file.all()) {
        let (value, source) = match (said, filed) {
            (said, _) if is_given(said) => (shown(said, show), "flag or environment"),
            (_, filed) if is_given(filed) => (shown(filed, show), config.as_str()),
            _ => (default.to_owned(), "default"),
        };
        // Writing into a string cannot fail.
        let _written = writeln!(text, "{name:<widest$} {value}  ({source})");
    }
    text
}

fn shown(value: Option<&str>, show: Show) -> String {
    let value = value.unwrap_or_default();
    match show {
        Show::Plain => value.to_owned(),
        Show::Url => all_without_secrets(value),
        Show::Hidden => "[hidden]".to_owned(),
    }
}

/// One URL or several, separated by commas.
fn all_without_secrets(urls: &str) -> String {
    // A comma that no URL follows is part of a password.
    if !urls.split(',').all(|url| url.contains("://")) {
        return without_secrets(urls);
    }
    let urls: Vec<_> = urls.split(',').map(without_secrets).collect();
    urls.join(",")
}

/// The URL without the password before its host and without its query, which may hold one too.
/// The last `@` counts: a password may have one that is not encoded.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (login, rest) = match rest.rsplit_once('@') {
        Some((login, rest)) => {
            let user = login.split(':').next().unwrap_or_default();
            (format!("{user}:[hidden]@"), rest)
        }
        None => (String::new(), rest),
    };
    let (host, query) = match rest.split_once('?') {
        Some((host, _)) => (host, "?[hidden]"),
        None => (rest, ""),
    };
    format!("{scheme}://{login}{host}{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        for (url, expected) in [
            ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
            (
                "redis://:p@ss/w?rd@h:1/0?password=x",
                "redis://:[hidden]@h:1/0?[hidden]",
            ),
            (
                "redis://:secret@one:1,redis://:secret@two:2",
                "redis://:[hidden]@one:1,redis://:[hidden]@two:2",
            ),
            ("redis://:se,cret@one:1", "redis://:[hidden]@one:1"),
            (
                "redis+sentinel://:secret@one,two/line/0?sentinel_password=x",
                "redis+sentinel://:[hidden]@one,two/line/0?[hidden]",
            ),
            (
                "postgres://me:secret@db/line?password=x",
                "postgres://me:[hidden]@db/line?[hidden]",
            ),
        ] {
            assert_eq!(all_without_secrets(url), expected);
        }
    }

    #[test]
    fn every_setting_is_shown_with_its_origin() {
        let said = Settings {
            admin_token: Some("very-secret".to_owned()),
            listen: Some(String::new()),
            ..Settings::default()
        };
        let file = Settings {
            listen: Some("127.0.0.1:1".to_owned()),
            ..Settings::default()
        };
        let text = settings(&said, &file);
        assert_eq!(text.lines().count(), 1 + said.all().len());
        assert!(!text.contains("very-secret"));
        let line = |name: &str| {
            let found = text.lines().find(|line| line.starts_with(name));
            found.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert!(line("ROPELINE_ADMIN_TOKEN").ends_with("[hidden]  (flag or environment)"));
        assert!(line("ROPELINE_LISTEN").ends_with("127.0.0.1:1  (ropeline.toml)"));
        assert!(line("ROPELINE_LOG ").ends_with("info  (default)"));
        // No file stands beside the tests.
        let config = "ropeline.toml  (default; there is no such file)";
        assert!(line("ROPELINE_CONFIG").ends_with(config), "{text}");
        let columns = text.lines().map(|line| {
            let name = line.split(' ').next().unwrap_or_default().len();
            name + line[name..].chars().take_while(|c| *c == ' ').count()
        });
        let columns: std::collections::BTreeSet<usize> = columns.collect();
        assert_eq!(columns.len(), 1, "{text}");
    }
}
