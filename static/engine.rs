//! The template engine. Templates are parsed once, and all output is escaped but in plain text.

use std::sync::LazyLock;

use contract::Timestamp;
use contract::booking::Venue;
use include_dir::{Dir, File, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};
use serde::Serialize;

use crate::asset::asset_url;
use crate::moment::{self, Form};
use crate::percent::encode;
use crate::texts::texts;

static TEMPLATES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/templates");

static ENGINE: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut engine = environment();
    for file in TEMPLATES.files() {
        add_file(file, &mut engine);
    }
    add_templates("shop", &mut engine);
    engine
});

/// Adds our templates in this directory.
pub(crate) fn add_templates(directory: &str, engine: &mut Environment<'static>) {
    let files = TEMPLATES.get_dir(directory).map(Dir::files);
    for file in files.into_iter().flatten() {
        add_file(file, engine);
    }
}

fn add_file(file: &'static File<'static>, engine: &mut Environment<'static>) {
    let source = file.contents_utf8().expect("templates are UTF-8");
    let name = file.path().to_str().expect("template names are UTF-8");
    engine
        .add_template(name, source)
        .expect("the tests parse every template");
}

/// The engine without templates.
pub(crate) fn environment() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    engine.set_auto_escape_callback(|name| {
        if name
            .rsplit_once('.')
            .is_some_and(|(_, ending)| ending == "txt")
        {
            AutoEscape::None
        } else {
            AutoEscape::Html
        }
    });
    engine.set_syntax(
        SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
            .expect("the usual delimiters"),
    );
    engine.add_function("asset", |path: String| {
        Value::from_safe_string(asset_url(&path))
    });
    engine.add_filter("query", |text: String| encode(&text, b""));
    engine.add_filter("of_field", of_field);
    engine.add_filter("count", crate::wait::count);
    engine.add_filter("line", one_line);
    engine.add_filter("link", |url: String| {
        Value::from_safe_string(escaped_url(&url))
    });
    engine.add_filter("money", |minor: i64, currency: String| {
        crate::money::money(minor, &currency)
    });
    engine.add_filter("map_url", map_url);
    engine.add_filter("when", when);
    engine.add_filter("until", |at: String, now: String| {
        Ok::<_, Error>(moment::span(instant(&at)?.since(instant(&now)?)))
    });
    engine.add_global("t", Value::from(Serde(texts())));
    engine
}

/// `at` (RFC 3339) in a time zone, in the format of the [`Form`] with this name.
fn when(at: &str, time_zone: &str, form: &str) -> Result<String, Error> {
    let form = match form {
        "full" => Form::Full,
        "short" => Form::Short,
        "day" => Form::Day,
        "short-day" => Form::ShortDay,
        "time" => Form::Time,
        "zone" => return Ok(moment::zone_name(instant(at)?, time_zone)),
        _ => return Err(ErrorKind::InvalidOperation.into()),
    };
    Ok(moment::when(instant(at)?, time_zone, form))
}

/// The map of the venue with this name.
fn map_url(name: String, address: String, latitude: Option<f64>, longitude: Option<f64>) -> String {
    crate::map::map_url(&Venue {
        name,
        address,
        latitude,
        longitude,
    })
}

/// `url` escaped for HTML with its slashes left as they are: programs that look for links in mail
/// do not read them as entities.
fn escaped_url(url: &str) -> String {
    let mut escaped = String::with_capacity(url.len());
    for c in url.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#x27;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `text` on one line, so that in plain text no title can look like a paragraph of ours.
fn one_line(text: &str) -> String {
    let is_end = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let words = text.split(|c: char| c.is_whitespace() || is_end(c));
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn instant(text: &str) -> Result<Timestamp, Error> {
    Timestamp::parse(text).ok_or_else(|| ErrorKind::InvalidOperation.into())
}

/// Renders the template `name`. The tests render each page in every state, so a failure here is a
/// defect of this crate and not of its input.
pub(crate) fn render<C: Serialize>(name: &str, context: &C) -> String {
    ENGINE
        .get_template(name)
        .and_then(|template| template.render(Value::from(Serde(context))))
        .unwrap_or_else(|error| panic!("page `{name}` does not fit its template: {error:#}"))
}

/// A field error as a sentence for people; programs get `field: what`.
fn of_field(detail: &str, field: &str) -> String {
    let what = detail
        .strip_prefix(field)
        .and_then(|rest| rest.strip_prefix(": "))
        .unwrap_or(detail);
    let mut letters = what.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string());
    let end = if what.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.unwrap_or_default(), letters.as_str())
}
