//! Where the access log goes.

use std::path::Path;

use super::settings::Settings;
use crate::access_log::{Form, Place};

/// Reads where the access log is written to, if anywhere, and in which form.
pub(super) fn access_log(
    settings: &Settings,
    note: &mut impl FnMut(String),
) -> (Option<Place>, Form) {
    let form = match settings.access_log_format.as_deref().map(str::trim) {
        None | Some("combined") => Form::Combined,
        Some("json") => Form::Json,
        Some(other) => {
            note(format!(
                "ROPELINE_ACCESS_LOG_FORMAT: `{other}` is not one of combined, json"
            ));
            Form::default()
        }
    };
    let place = match settings.access_log.as_deref().map(str::trim) {
        None | Some("off") => None,
        Some("-") => Some(Place::Stdout),
        Some(path) => file(path)
            .map_err(|problem| note(format!("ROPELINE_ACCESS_LOG: {path}: {problem}")))
            .ok(),
    };
    (place, form)
}

/// The file of this name, which is made at the start only.
fn file(path: &str) -> Result<Place, String> {
    let path = std::path::absolute(path).map_err(|error| error.to_string())?;
    if path.is_dir() {
        return Err("it is a directory; name a file in it".to_owned());
    }
    match path.parent().map(Path::metadata) {
        Some(Ok(found)) if found.is_dir() => Ok(Place::File(path)),
        Some(Err(error)) => Err(format!("its directory cannot be used: {error}")),
        _ => Err("it is in no directory".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(place: Option<&str>, form: Option<&str>) -> Result<(Option<Place>, Form), Vec<String>> {
        let settings = Settings {
            access_log: place.map(str::to_owned),
            access_log_format: form.map(str::to_owned),
            ..Settings::default()
        };
        let mut problems = Vec::new();
        let read = access_log(&settings, &mut |problem| problems.push(problem));
        if problems.is_empty() {
            Ok(read)
        } else {
            Err(problems)
        }
    }

    #[test]
    fn there_is_none_unless_it_is_set() {
        for place in [None, Some("off")] {
            assert_eq!(read(place, None), Ok((None, Form::Combined)));
        }
        assert_eq!(
            read(Some("-"), Some("json")),
            Ok((Some(Place::Stdout), Form::Json))
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("access.log");
        let found = read(path.to_str(), Some("combined"));
        assert_eq!(found, Ok((Some(Place::File(path.clone())), Form::Combined)));
        assert!(!path.exists(), "made while settings were read");
    }

    #[test]
    fn what_cannot_be_written_is_told_before_the_start() {
        let dir = tempfile::tempdir().unwrap();
        for (place, form, told) in [
            (dir.path().to_str(), None, "it is a directory"),
            (
                Some("/does/not/exist/access.log"),
                None,
                "its directory cannot be used",
            ),
            (Some("/dev/null/access.log"), None, "ROPELINE_ACCESS_LOG: "),
            (None, Some("xml"), "ROPELINE_ACCESS_LOG_FORMAT: `xml`"),
        ] {
            let problems = read(place, form).unwrap_err();
            assert!(problems[0].contains(told), "{problems:?}");
        }
    }
}
