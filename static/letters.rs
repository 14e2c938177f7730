//! The templates of letters, in several languages, with the operator's own in place of ours.
//!
//! A template of the operator's that cannot be read is left out, and one that fails while it is
//! rendered gives way to ours: a mail that looks plain is better than none.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::Timestamp;
use minijinja::value::{Kwargs, Serde};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use serde::Serialize;
use serde_json::Value as Json;

use crate::engine::{self, environment};
use crate::moment::{Form, when_in, zone_name};

/// The languages that there are texts of, with their texts. The first stands in for what another
/// lacks.
const TEXTS: [(&str, &str); 4] = [
    ("en", include_str!("mail_texts/en.json")),
    ("de", include_str!("mail_texts/de.json")),
    ("es", include_str!("mail_texts/es.json")),
    ("fr", include_str!("mail_texts/fr.json")),
];
/// The language of those whose own there is none of.
pub const DEFAULT_LANGUAGE: &str = "en";
/// Longest file of an operator's template, in bytes.
const FILE_BYTES_MAX: u64 = 256 * 1024;

/// The best of our languages for `accepted`, the value of `Accept-Language`.
pub fn language_of(accepted: &str) -> &'static str {
    let mut wanted: Vec<(f32, &str)> = accepted
        .split(',')
        .filter_map(|part| {
            let (tag, rest) = part.split_once(';').unwrap_or((part, ""));
            let weight = rest.trim().strip_prefix("q=");
            let weight = weight.map_or(Some(1.0), |text| text.trim().parse().ok())?;
            let language = tag.trim().split('-').next()?;
            (weight > 0.0).then_some((weight, language))
        })
        .collect();
    // Stable: of the same weight, the first counts.
    wanted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let known = |wanted: &str| {
        let mut languages = TEXTS.iter().map(|(language, _)| *language);
        languages.find(|language| language.eq_ignore_ascii_case(wanted))
    };
    let best = wanted.iter().find_map(|(_, language)| known(language));
    best.unwrap_or(DEFAULT_LANGUAGE)
}

/// The languages that there are texts of.
pub fn languages() -> impl Iterator<Item = &'static str> {
    TEXTS.iter().map(|(language, _)| *language)
}

/// Texts by language.
#[derive(Debug, Default)]
struct Texts(BTreeMap<String, Json>);

impl Texts {
    fn built_in() -> Self {
        let parsed = TEXTS.iter().map(|(language, source)| {
            let texts = serde_json::from_str(source).expect("the tests parse every text");
            ((*language).to_owned(), texts)
        });
        Self(parsed.collect())
    }

    /// The value at `key`, such as `yourTurn.subject`, in `language` or else in English.
    fn at(&self, language: &str, key: &str) -> Option<&Json> {
        let pointer = format!("/{}", key.replace('.', "/"));
        let in_language = |language: &str| self.0.get(language)?.pointer(&pointer);
        in_language(language).or_else(|| in_language(DEFAULT_LANGUAGE))
    }

    fn text(&self, language: &str, key: &str) -> Option<&str> {
        self.at(language, key)?.as_str()
    }

    /// Puts the operator's texts in place of ours.
    fn replace(&mut self, language: &str, own: Json) {
        let ours = self.0.entry(language.to_owned()).or_insert(Json::Null);
        merge(ours, own);
    }
}

fn merge(ours: &mut Json, own: Json) {
    match (ours, own) {
        (Json::Object(ours), Json::Object(own)) => {
            for (key, value) in own {
                merge(ours.entry(key).or_insert(Json::Null), value);
            }
        }
        (ours, own) => *ours = own,
    }
}

/// The letters.
pub struct Letters {
    ours: Environment<'static>,
    /// Ours with the operator's own in their place.
    own: Option<Environment<'static>>,
    texts: Arc<Texts>,
    own_texts: Arc<Texts>,
}

impl std::fmt::Debug for Letters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Letters(..)")
    }
}

impl Default for Letters {
    fn default() -> Self {
        let texts = Arc::new(Texts::built_in());
        Self {
            ours: letters(&texts),
            own: None,
            own_texts: Arc::clone(&texts),
            texts,
        }
    }
}

impl Letters {
    /// The letters with the operator's own of `directory`: templates such as
    /// `booking_confirmed.html`, and texts such as `texts/de.json`. Also returns what is wrong with
    /// them; what is wrong is left out.
    pub fn with_own(directory: &Path) -> (Self, Vec<String>) {
        let mut letters_ = Self::default();
        let mut faults = Vec::new();
        let mut texts = Texts::built_in();
        for (name, source) in files(&directory.join("texts"), "json", &mut faults) {
            match serde_json::from_str::<Json>(&source) {
                Ok(own @ Json::Object(_)) => texts.replace(&name, own),
                Ok(_) => faults.push(format!("texts/{name}.json: it is no object")),
                Err(error) => faults.push(format!("texts/{name}.json: {error}")),
            }
        }
        let texts = Arc::new(texts);
        let mut own = letters(&texts);
        for ending in ["html", "txt"] {
            for (name, source) in files(directory, ending, &mut faults) {
                let path = format!("mail/{name}.{ending}");
                if letters_.ours.get_template(&path).is_err() {
                    faults.push(format!("{name}.{ending}: there is no such template"));
                } else if let Err(error) = own.add_template_owned(path, source) {
                    faults.push(format!("{name}.{ending}: {error:#}"));
                }
            }
        }
        letters_.own = Some(own);
        letters_.own_texts = texts;
        (letters_, faults)
    }

    /// The text at `key` in `language`, filled in.
    pub(crate) fn say(&self, language: &str, key: &str, values: &[(&str, &str)]) -> String {
        let text = self.own_texts.text(language, key).unwrap_or(key);
        filled(text, values)
    }

    /// `at` in words, in `language`.
    pub(crate) fn day(&self, language: &str, at: Timestamp, zone: &str, form: Form) -> String {
        in_words(&self.own_texts, language, at, zone, form)
    }

    /// Renders the letter `name` in `language`. Also returns why the operator's own template could
    /// not be used.
    pub(crate) fn render<C: Serialize>(
        &self,
        name: &str,
        language: &str,
        context: &C,
    ) -> (String, Option<String>) {
        let context =
            || minijinja::context! { language => language, ..Value::from(Serde(context)) };
        let rendered = |engine: &Environment<'static>| -> Result<String, Error> {
            engine.get_template(name)?.render(context())
        };
        let fault = match self.own.as_ref().map(rendered) {
            Some(Ok(text)) => return (text, None),
            Some(Err(error)) => Some(format!("{name}: {error:#}")),
            None => None,
        };
        let ours = rendered(&self.ours);
        let ours =
            ours.unwrap_or_else(|error| panic!("`{name}` does not fit its letter: {error:#}"));
        (ours, fault)
    }

    /// Whether there are texts of our own in this language for every key of the English ones.
    pub fn is_complete(&self, language: &str) -> bool {
        fn has_all(theirs: &Json, english: &Json) -> bool {
            match english {
                Json::Object(keys) => keys
                    .iter()
                    .all(|(key, value)| theirs.get(key).is_some_and(|it| has_all(it, value))),
                Json::Array(items) => theirs.as_array().is_some_and(|it| it.len() == items.len()),
                _ => theirs.is_string(),
            }
        }
        let of = |language: &str| self.texts.0.get(language);
        of(language)
            .zip(of(DEFAULT_LANGUAGE))
            .is_some_and(|(theirs, english)| has_all(theirs, english))
    }
}

/// The files of a directory with this ending: names without it, and contents.
fn files(directory: &Path, ending: &str, faults: &mut Vec<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return found,
        Err(error) => {
            faults.push(format!("{}: {error}", directory.display()));
            return found;
        }
    };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = path.file_stem().and_then(|name| name.to_str());
        let (Some(name), true) = (name, path.extension().is_some_and(|it| it == ending)) else {
            continue;
        };
        let size = entry.metadata().map_or(0, |about| about.len());
        if size > FILE_BYTES_MAX {
            faults.push(format!("{name}.{ending}: it is longer than 256 KiB"));
            continue;
        }
        match std::fs::read_to_string(&path) {
            Ok(source) => found.push((name.to_owned(), source)),
            Err(error) => faults.push(format!("{name}.{ending}: {error}")),
        }
    }
    found.sort();
    found
}

/// The engine with our letters and `texts`.
fn letters(texts: &Arc<Texts>) -> Environment<'static> {
    let mut engine = environment();
    let said = Arc::clone(texts);
    engine.add_function(
        "say",
        move |state: &State, key: String, values: Kwargs| -> Result<String, Error> {
            let text = said.text(&language(state), &key);
            let text = text.ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidOperation,
                    format!("there is no text {key}"),
                )
            })?;
            let mut pairs: Vec<(String, String)> = Vec::new();
            for name in values.args() {
                let value: Value = values.get(name)?;
                pairs.push((name.to_owned(), value.to_string()));
            }
            values.assert_all_used()?;
            let pairs: Vec<(&str, &str)> = pairs
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            Ok(filled(text, &pairs))
        },
    );
    let seats = Arc::clone(texts);
    engine.add_function("seat_in", move |state: &State, seat: Value| {
        let part = |name: &str| seat.get_attr(name).map(|value| value.to_string());
        let (section, row, number) = (part("section")?, part("row")?, part("number")?);
        let text = seats.text(&language(state), "seatIn").unwrap_or_default();
        let values = [("section", &*section), ("row", &*row), ("number", &*number)];
        Ok::<_, Error>(filled(text, &values))
    });
    let days = Arc::clone(texts);
    engine.add_function(
        "day",
        move |state: &State, at: String, zone: String, form: String| {
            let form = match form.as_str() {
                "full" => Form::Full,
                "short" => Form::Short,
                "time" => Form::Time,
                _ => return Err(Error::from(ErrorKind::InvalidOperation)),
            };
            let at = Timestamp::parse(&at).ok_or(ErrorKind::InvalidOperation)?;
            Ok(in_words(&days, &language(state), at, &zone, form))
        },
    );
    engine::add_templates("mail", &mut engine);
    engine
}

fn language(state: &State<'_, '_>) -> String {
    let language = state.lookup("language");
    language.map_or_else(|| DEFAULT_LANGUAGE.to_owned(), |value| value.to_string())
}

/// `at` with its time zone, such as `Saturday, 28 November 2026, 19:30 IST`; the short form of a
/// subject has none.
fn in_words(texts: &Texts, language: &str, at: Timestamp, zone: &str, form: Form) -> String {
    let names = |key: &str| -> Vec<String> {
        let names = texts.at(language, key).and_then(Json::as_array);
        let names = names.into_iter().flatten().filter_map(Json::as_str);
        names.map(str::to_owned).collect()
    };
    let (pattern, weekdays, months) = match form {
        Form::Full | Form::Day => ("when.day", "when.weekdays", "when.months"),
        _ => ("when.dayShort", "when.weekdaysShort", "when.monthsShort"),
    };
    let pattern = texts.text(language, pattern).unwrap_or_default();
    let text = when_in(at, zone, form, pattern, &names(weekdays), &names(months));
    match form {
        Form::Full | Form::Time => format!("{text} {}", zone_name(at, zone)),
        _ => text,
    }
}

/// `text` with each `{name}` replaced, once: what is filled in may have braces.
fn filled(text: &str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let found = values.iter().find_map(|(name, value)| {
            let tail = after.strip_prefix(name)?.strip_prefix('}')?;
            Some((*value, tail))
        });
        let (value, tail) = found.unwrap_or(("{", after));
        out.push_str(value);
        rest = tail;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_language_that_there_are_texts_of_is_chosen() {
        for (accepted, language) in [
            ("", "en"),
            ("de", "de"),
            ("de-AT,de;q=0.9,en;q=0.8", "de"),
            ("fi, de;q=0.4, en;q=0.3", "de"),
            ("fr-CA, en;q=0.5", "fr"),
            ("en-GB, de", "en"),
            ("de;q=0, en", "en"),
            ("*", "en"),
            ("xx-YY;q=abc", "en"),
        ] {
            assert_eq!(language_of(accepted), language, "{accepted}");
        }
    }

    #[test]
    fn every_language_has_every_text() {
        let letters = Letters::default();
        for language in languages() {
            assert!(letters.is_complete(language), "{language}");
        }
        assert!(!letters.is_complete("xx"));
    }

    #[test]
    fn what_is_filled_in_is_not_filled_again() {
        let values = [("a", "{b}"), ("b", "x")];
        assert_eq!(filled("{a} {b} {c} {", &values), "{b} x {c} {");
    }

    #[test]
    fn days_are_written_in_the_language() {
        let letters = Letters::default();
        let at = Timestamp::parse("2026-11-28T14:00:00Z").unwrap();
        let day = |language, form| letters.day(language, at, "Asia/Kolkata", form);
        assert_eq!(
            day("en", Form::Full),
            "Saturday, 28 November 2026, 19:30 IST"
        );
        assert_eq!(day("en", Form::Short), "Sat 28 Nov 2026, 19:30");
        assert_eq!(
            day("de", Form::Full),
            "Samstag, 28. November 2026, 19:30 IST"
        );
        assert_eq!(day("de", Form::Short), "Sa, 28. Nov. 2026, 19:30");
        assert_eq!(day("de", Form::Time), "19:30 IST");
    }
}
