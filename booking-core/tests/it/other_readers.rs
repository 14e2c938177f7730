//! Programs of others that read PDFs, QR codes and calendar files.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

/// Dots per inch of a page that is looked at: less than any printer has.
const DOTS_PER_INCH: &str = "100";

/// What a calendar file says, as its only event's properties by name, and its alarms.
const READ_CALENDAR: &str = r#"
import json, sys
from icalendar import Calendar

calendar = Calendar.from_ical(sys.stdin.buffer.read())
events = calendar.walk("VEVENT")
assert len(events) == 1, events
event = events[0]
told = {name: str(event.decoded(name)) for name in ("dtstart", "dtend", "dtstamp") if name in event}
told |= {name: str(event[name]) for name in ("uid", "summary", "location", "description", "status", "url") if name in event}
told["alarms"] = [str(alarm["trigger"].dt) for alarm in event.walk("VALARM")]
if "geo" in event:
    told["geo"] = event["geo"].to_ical()
print(json.dumps(told))
"#;

/// The output of `program`, which `scripts/install-servers --test` installs.
fn output(program: &str, arguments: &[&str], input: &Path) -> Vec<u8> {
    let input = std::fs::File::open(input).unwrap();
    let output = Command::new(program)
        .args(arguments)
        .stdin(input)
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}: run scripts/install-servers --test"));
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program}: {complaint}");
    output.stdout
}

/// A PDF in a directory of its own.
pub(crate) struct PdfReader {
    directory: TempDir,
}

impl PdfReader {
    pub(crate) fn open(pdf: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("tickets.pdf"), pdf).unwrap();
        Self { directory }
    }

    /// The text of each page.
    pub(crate) fn pages(&self) -> Vec<String> {
        let pdf = self.directory.path().join("tickets.pdf");
        let text = output("pdftotext", &["-enc", "UTF-8", "-", "-"], &pdf);
        let text = String::from_utf8(text).unwrap();
        let pages = text.trim_end_matches('\u{c}').split('\u{c}');
        pages.map(str::to_owned).collect()
    }

    /// Whether screen readers are told what is a heading, a picture, a link.
    pub(crate) fn is_tagged(&self) -> bool {
        let pdf = self.directory.path().join("tickets.pdf");
        let told = output("pdfinfo", &["-"], &pdf);
        let told = String::from_utf8_lossy(&told).into_owned();
        told.lines()
            .any(|line| line.replace(' ', "") == "Tagged:yes")
    }

    /// The texts of the QR codes, as a camera reads them from a page.
    pub(crate) fn codes(&self) -> Vec<String> {
        let pdf = self.directory.path().join("tickets.pdf");
        let prefix = self.directory.path().join("page");
        let prefix = prefix.to_str().unwrap();
        let pages = ["-r", DOTS_PER_INCH, "-gray", "-png", "-", prefix];
        output("pdftoppm", &pages, &pdf);
        let files = std::fs::read_dir(self.directory.path()).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let mut pictures: Vec<_> = files
            .filter(|file| file.extension().is_some_and(|ending| ending == "png"))
            .collect();
        pictures.sort();
        let mut codes = Vec::new();
        for picture in pictures {
            let found = Command::new("zbarimg")
                .args(["--raw", "--quiet", "-Sdisable", "-Sqrcode.enable"])
                .arg(picture)
                .output()
                .expect("zbarimg is installed by scripts/install-servers --test");
            let found = String::from_utf8(found.stdout).unwrap();
            codes.extend(found.lines().map(str::to_owned));
        }
        codes
    }
}

/// What another implementation reads in a calendar file.
pub(crate) fn read_calendar(text: &str) -> Value {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("calendar.ics");
    std::fs::write(&file, text).unwrap();
    // Debian's packages are seen by its own Python, which may not be the first one found.
    let own = "/usr/bin/python3";
    let python = if Path::new(own).exists() {
        own
    } else {
        "python3"
    };
    let told = output(python, &["-c", READ_CALENDAR], &file);
    serde_json::from_slice(&told).unwrap()
}
