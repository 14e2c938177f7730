//! Reading a show file, and telling all that is wrong with it at once.
//!
//! A reader of JSON stops at the first field that it cannot read. To find the others, that field is
//! put right in a copy of the file and the copy is read again, until it can be read; then what the
//! fields say is checked as well. Only faults of the file itself are told, none of what was put in.

use contract::Timestamp;
use contract::booking::ShowFile;
use serde_json::{Value, json};
use serde_path_to_error::{Path, Segment};

use crate::check::{CheckedShow, check};
use crate::fault::Fault;

/// Largest show file, bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most fields that cannot be read that are told at once: with more the file is of another kind.
const UNREADABLE_MAX: usize = 50;

/// What a show file is, for those who send something else.
const WHAT_IT_IS: &str = "a show file is one JSON object that describes one show, such as \
    {\"showId\": \"eras-mumbai-1\", \"title\": …}";

/// Fields whose checks need each other: when one of them had to be put right, nothing can be said
/// of the others.
const CHECKED_TOGETHER: [&[&str]; 2] = [
    &["startsAt", "endsAt", "saleOpensAt", "saleClosesAt"],
    &[
        "currency",
        "categories",
        "sections",
        "refundPolicy",
        "fees",
        "taxes",
    ],
];

/// Reads and checks a show file, or tells everything that is wrong with it.
pub fn read(bytes: &[u8], now: Timestamp) -> Result<CheckedShow, Vec<Fault>> {
    let text = text_of(bytes).map_err(|fault| vec![fault])?;
    let mut json = serde_json::Deserializer::from_slice(text);
    let read: Result<ShowFile, _> = serde_path_to_error::deserialize(&mut json);
    let unread = match read {
        Ok(file) if contract::text::nul_at(text).is_none() => {
            json.end().map_err(|error| vec![not_json(&error)])?;
            return check(file, now);
        }
        Ok(_) => None,
        Err(error) => Some(Fault::new(
            error.path().to_string(),
            error.inner().to_string(),
        )),
    };
    let value = serde_json::from_slice(text).map_err(|error| vec![not_json(&error)])?;
    let faults = faults_of(value, now);
    // A field that is there twice is a fault of the text alone.
    if faults.is_empty() {
        return Err(unread.into_iter().collect());
    }
    Err(faults)
}

fn text_of(bytes: &[u8]) -> Result<&[u8], Fault> {
    if bytes.len() > FILE_BYTES_MAX {
        let what = format!("it has more than {FILE_BYTES_MAX} bytes");
        return Err(Fault::of_file(what));
    }
    contract::text::json_text(bytes).map_err(Fault::of_file)
}

fn not_json(error: &serde_json::Error) -> Fault {
    let text = error.to_string();
    let why = text.split(" at line ").next().unwrap_or_default();
    Fault::of_file(format!(
        "it is not JSON: {why} in line {}, column {}; {WHAT_IT_IS}",
        error.line(),
        error.column()
    ))
}

/// Everything that is wrong with a file that cannot be read as it is.
fn faults_of(mut file: Value, now: Timestamp) -> Vec<Fault> {
    if !file.is_object() {
        return vec![Fault::of_file(format!(
            "it is no JSON object; {WHAT_IT_IS}"
        ))];
    }
    let mut faults = Vec::new();
    if let Some(path) = contract::text::nul_at(file.to_string().as_bytes()) {
        faults.push(Fault::new(path, "must not contain the character U+0000"));
        drop_nuls(&mut file);
    }
    let sound = sample();
    while faults.len() < UNREADABLE_MAX {
        let read: Result<ShowFile, _> = serde_path_to_error::deserialize(&file);
        let error = match read {
            Ok(file) => {
                let said = check(file, now).err().unwrap_or_default();
                let own = said.into_iter().filter(|fault| is_own(fault, &faults));
                let own: Vec<Fault> = own.collect();
                faults.extend(own);
                return faults;
            }
            Err(error) => error,
        };
        let (fault, at) = located(&error);
        let goes_on = put_right(&mut file, &sound, &at);
        faults.push(fault);
        if !goes_on {
            break;
        }
    }
    faults
}

/// A step from a value to one within it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(String),
    Item(usize),
}

/// The fault that `error` stands for, and where what is to be put right is. A field that is missing
/// is named by the object that lacks it, which tells less than its own path.
fn located(error: &serde_path_to_error::Error<serde_json::Error>) -> (Fault, Vec<Step>) {
    let mut steps = steps(error.path());
    let what = error.inner().to_string();
    let missing = what
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    let Some(missing) = missing else {
        return (Fault::new(error.path().to_string(), what), steps);
    };
    steps.push(Step::Field(missing.to_owned()));
    (Fault::new(path_text(&steps), "is missing"), steps)
}

fn steps(path: &Path) -> Vec<Step> {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Map { key } => Some(Step::Field(key.clone())),
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Field(name) if text.is_empty() => text.push_str(name),
            Step::Field(name) => text.extend([".", name]),
            Step::Item(index) => text.extend(["[", &index.to_string(), "]"]),
        }
    }
    text
}

/// Puts what the sample has at `steps` in the place of what cannot be read, or takes away what no
/// show file has. `false` when there is no such place.
fn put_right(file: &mut Value, sound: &Value, steps: &[Step]) -> bool {
    let Some((last, above)) = steps.split_last() else {
        return false;
    };
    let (mut place, mut sample) = (file, Some(sound));
    for step in above {
        let Some(below) = within(place, step) else {
            return false;
        };
        place = below;
        sample = sample.and_then(|sample| sampled(sample, step));
    }
    let sample = sample.and_then(|sample| sampled(sample, last)).cloned();
    match (place, last) {
        (Value::Object(fields), Step::Field(name)) => {
            match sample {
                Some(sample) => fields.insert(name.clone(), sample),
                None => fields.remove(name),
            };
            true
        }
        (Value::Array(items), Step::Item(index)) => match (items.get_mut(*index), sample) {
            (Some(item), Some(sample)) => {
                *item = sample;
                true
            }
            _ => false,
        },
        _ => false,
    }
}

fn within<'a>(value: &'a mut Value, step: &Step) -> Option<&'a mut Value> {
    match step {
        Step::Field(name) => value.get_mut(name),
        Step::Item(index) => value.get_mut(index),
    }
}

/// What the sample has at `step`; its lists have one item, which stands for all.
fn sampled<'a>(sample: &'a Value, step: &Step) -> Option<&'a Value> {
    match step {
        Step::Field(name) => sample.get(name),
        Step::Item(_) => sample.get(0),
    }
}

fn drop_nuls(value: &mut Value) {
    match value {
        Value::String(text) => text.retain(|c| c != '\0'),
        Value::Array(items) => items.iter_mut().for_each(drop_nuls),
        Value::Object(fields) => fields.values_mut().for_each(drop_nuls),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whether a fault that a check finds is one of the file, although `unread` fields were put right.
fn is_own(found: &Fault, unread: &[Fault]) -> bool {
    let top = |path: &str| path.split(['.', '[']).next().unwrap_or_default().to_owned();
    let name = top(&found.path);
    unread.iter().all(|unread| {
        let other = top(&unread.path);
        let are_together = CHECKED_TOGETHER.iter().any(|together| {
            together.contains(&name.as_str()) && together.contains(&other.as_str())
        });
        !are_together && !found.path.starts_with(&unread.path)
    })
}

/// A file that can be read, with every field that has to be there and one item in every list.
fn sample() -> Value {
    json!({
        "showId": "show",
        "city": {"cityId": "city", "name": "City", "country": "IN", "timeZone": "Asia/Kolkata"},
        "title": "Title", "description": "", "genre": "", "language": "", "cast": [""],
        "venue": {"name": "Venue", "address": ""},
        "startsAt": "2999-01-01T00:00:00Z",
        "currency": "INR",
        "refundPolicy": {"freeUntilHours": 1, "shares": [{"untilHours": 0, "percent": 50}]},
        "transfer": {"untilHours": 1},
        "categories": [{
            "category": "A", "name": "A", "priceMinor": 10_000,
            "ticketTypes": [{"type": "A", "name": "A", "priceMinor": 10_000}],
        }],
        "fees": [{"name": "A", "per": "ticket", "percent": 1}],
        "taxes": [{"name": "A", "percent": 1, "included": true}],
        "sections": [{
            "name": "A", "category": "A", "rows": ["A"], "seatsPerRow": 1,
            "accessible": [""], "blocked": [""],
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_796_000_000_000);

    fn file() -> Value {
        let mut file = sample();
        file["cast"] = json!([]);
        file["sections"][0]["accessible"] = json!([]);
        file["sections"][0]["blocked"] = json!([]);
        file
    }

    fn check(text: &str, paths: &[&str]) -> Vec<Fault> {
        let faults = read(text.as_bytes(), NOW).err().unwrap_or_default();
        let found: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        assert_eq!(found, paths, "{faults:?}");
        faults
    }

    #[test]
    fn what_stands_in_for_faults_is_sound_itself() {
        check(&file().to_string(), &[]);
        // Each field that has to be there is in the sample, so that a file without any is read.
        let faults = read(b"{}", NOW).err().unwrap();
        assert!(
            faults.iter().all(|it| it.what == "is missing"),
            "{faults:?}"
        );
        assert_eq!(faults.len(), 8, "{faults:?}");
    }

    #[test]
    fn fields_that_cannot_be_read_do_not_hide_others() {
        let mut file = file();
        file["showId"] = json!("Eras!");
        file["tilte"] = json!("Eras");
        file.as_object_mut().unwrap().remove("venue");
        file["city"]["nmae"] = json!("x");
        file["sections"][0]["seatsPerRow"] = json!("ten");
        file["endsAt"] = json!("tomorrow");
        file["holdSeconds"] = json!(1);
        file["ticketLimit"] = json!("six");
        file["title"] = json!("");
        let faults = read(file.to_string().as_bytes(), NOW).err().unwrap();
        let mut found: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
        found.sort_unstable();
        let expected = [
            "city.nmae",
            "endsAt",
            "holdSeconds",
            "sections[0].seatsPerRow",
            "showId",
            "ticketLimit",
            "tilte",
            "title",
            "venue",
        ];
        assert_eq!(found, expected, "{faults:?}");
    }

    #[test]
    fn what_was_put_right_is_not_told_as_a_fault() {
        let mut file = file();
        file["categories"][0]["priceMinor"] = json!("much");
        file["sections"][0]["category"] = json!("VIP");
        file["saleOpensAt"] = json!("3000-01-01T00:00:00Z");
        file["startsAt"] = json!(5);
        check(&file.to_string(), &["categories[0].priceMinor", "startsAt"]);
    }

    #[test]
    fn a_field_that_is_there_twice_is_told() {
        let text = file().to_string().replacen('{', "{\"title\": \"Eras\",", 1);
        let faults = read(text.as_bytes(), NOW).err().unwrap();
        assert!(
            faults[0].what.contains("duplicate field `title`"),
            "{faults:?}"
        );
    }

    #[test]
    fn what_is_no_show_file_is_told_with_what_one_is() {
        let faults = check("title: Eras\ncity: Mumbai\n", &["."]);
        let said = "it is not JSON: expected ident in line 1, column 2";
        assert!(faults[0].what.starts_with(said), "{faults:?}");
        assert!(faults[0].what.contains("one JSON object"), "{faults:?}");
        let faults = check("{\n  \"title\": \"Eras\",\n}\n", &["."]);
        assert!(faults[0].what.contains("in line 3, column 1"), "{faults:?}");
        for text in ["[]", "5", "null"] {
            let faults = check(text, &["."]);
            assert!(faults[0].what.contains("one JSON object"), "{faults:?}");
        }
        check(&format!("{} {{}}", file()), &["."]);
        check("", &["."]);
    }

    #[test]
    fn a_file_of_another_kind_is_not_told_without_end() {
        let fields = (0..200).map(|at| format!("\"f{at}\": 1"));
        let text = format!("{{{}}}", fields.collect::<Vec<_>>().join(","));
        let faults = read(text.as_bytes(), NOW).err().unwrap();
        assert_eq!(faults.len(), UNREADABLE_MAX);
    }
}
