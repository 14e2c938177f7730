//! A settings file with every setting in it, commented out.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use clap::Args as _;

use super::settings::{FILE_DEFAULT, Settings, Show};

/// Columns of the comments.
const COLUMNS: usize = 96;
/// Prefix of the variables.
const PREFIX: &str = "ROPELINE_";

/// Writes a new settings file; a file that is there stays as it is.
pub(super) fn write(named: Option<&str>) -> Result<String, String> {
    let path = Path::new(named.unwrap_or(FILE_DEFAULT));
    let made = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        // Secrets may be written into it.
        .mode(0o600)
        .open(path);
    let written = made.and_then(|mut file| file.write_all(text().as_bytes()));
    let path = path.display();
    match written {
        Ok(()) => Ok(format!(
            "{path} was written: every setting is in it, commented out, with its default. Change \
             what is to change, then try `ropeline-gateway config check`."
        )),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(format!(
            "{path} is there already and stays as it is: move it away, or name another file with \
             --config"
        )),
        Err(error) => Err(format!("{path} cannot be written: {error}")),
    }
}

fn text() -> String {
    let command = Settings::augment_args(clap::Command::new("ropeline-gateway"));
    let mut text =
        "# Settings of ropeline-gateway. Flags and variables of the environment go before \
                    them.\n# To stand before a shop, start it as: ropeline-gateway --origin \
                    http://shop.internal:3000\n"
            .to_owned();
    for (name, _, show, default) in Settings::default().all() {
        let argument = command
            .get_arguments()
            .find(|argument| argument.get_env().is_some_and(|env| env == name));
        let help = argument.and_then(clap::Arg::get_help);
        let help = help.map(ToString::to_string).unwrap_or_default();
        text.push('\n');
        for line in wrapped(&help) {
            text.push_str("# ");
            text.push_str(&line);
            text.push('\n');
        }
        let key = name.strip_prefix(PREFIX).unwrap_or(name);
        let value = match show {
            Show::Plain if !default.contains(' ') && default != "none" => default,
            _ => "",
        };
        let key = key.to_ascii_lowercase();
        text.extend(["#", &key, " = ", &format!("{value:?}"), "\n"]);
    }
    text
}

/// The words of `text` in lines that fit.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |line| line.chars().count());
        if last > 0 && last + 1 + word.chars().count() > COLUMNS {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_in_it_and_none_is_set() {
        let text = text();
        assert!(text.parse::<toml::Table>().unwrap().is_empty());
        let set: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
            .collect();
        let set = set.join("\n");
        let table: toml::Table = set.parse().unwrap();
        let mut problems = Vec::new();
        let count = table.len();
        Settings::from_table(table, &mut |problem| problems.push(problem));
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(count, Settings::default().all().len());
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= COLUMNS + 2 || !line.contains(' '))
        );
    }

    #[test]
    fn a_file_that_is_there_stays_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("own.toml");
        let named = path.to_str().unwrap();
        assert!(write(Some(named)).unwrap().contains("was written"));
        let first = std::fs::read(&path).unwrap();
        std::fs::write(&path, "log = \"debug\"\n").unwrap();
        let refused = write(Some(named)).unwrap_err();
        assert!(refused.contains("stays as it is"), "{refused}");
        assert_ne!(std::fs::read(&path).unwrap(), first);
        let nowhere = directory.path().join("no/where.toml");
        assert!(
            write(nowhere.to_str())
                .unwrap_err()
                .contains("cannot be written")
        );
    }
}
