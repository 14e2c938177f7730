//! Stylesheets, scripts and images, embedded in the binary.
//!
//! All assets share one version: scripts import each other by relative path, so they have to share
//! the part of the URL that changes.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use data_encoding::HEXLOWER;
use include_dir::{Dir, include_dir};
use sha2::{Digest, Sha256};

/// URL prefix of assets, followed by the version and the path.
pub const ASSET_PREFIX: &str = "/_line/static/";

/// Hexadecimal digits of the version, so that two builds practically never share one.
const VERSION_DIGITS: usize = 12;

static CSS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/css");
static IMAGES: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/images");
static JS: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/js");

static ASSETS: LazyLock<BTreeMap<String, Asset>> = LazyLock::new(collect);
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hash = Sha256::new();
    for (path, asset) in &*ASSETS {
        hash.update(path.as_bytes());
        hash.update([0]);
        hash.update(asset.etag.as_bytes());
    }
    let mut version = HEXLOWER.encode(&hash.finalize());
    version.truncate(VERSION_DIGITS);
    version
});

/// A file that pages use.
#[derive(Clone, Debug)]
pub struct Asset {
    /// Its content.
    pub bytes: &'static [u8],
    /// For `Content-Type`.
    pub media_type: &'static str,
    /// For `ETag`, quotes included.
    pub etag: String,
}

/// The asset at `path`, such as `css/tokens.css`.
pub fn asset(path: &str) -> Option<Asset> {
    ASSETS.get(path).cloned()
}

/// The paths of all assets.
pub fn paths() -> impl Iterator<Item = &'static str> {
    ASSETS.keys().map(String::as_str)
}

/// The version of all assets, a hash of their contents.
pub fn asset_version() -> &'static str {
    &VERSION
}

/// The URL of the asset at `path`.
pub fn asset_url(path: &str) -> String {
    format!("{ASSET_PREFIX}{}/{path}", asset_version())
}

/// `Cache-Control` for a request under `version`.
///
/// During a rolling update a gateway gets requests for another build's version. It responds with
/// its own files, which must not be cached under that version.
pub fn asset_cache_control(version: &str) -> &'static str {
    if version == asset_version() {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    }
}

fn collect() -> BTreeMap<String, Asset> {
    let mut assets = BTreeMap::new();
    for (folder, dir) in [("css", &CSS), ("images", &IMAGES), ("js", &JS)] {
        add(folder, dir, &mut assets);
    }
    assets
}

fn add(folder: &str, dir: &'static Dir<'static>, assets: &mut BTreeMap<String, Asset>) {
    for file in dir.files() {
        let path = format!("{folder}/{}", file.path().display());
        let Some(media_type) = media_type(&path) else {
            continue;
        };
        let bytes = match file.contents_utf8() {
            // What other people wrote goes with their comments, and their licence.
            Some(source) if media_type.starts_with("text/") && !path.contains("/vendor/") => {
                without_comments(source).into_bytes().leak()
            }
            _ => file.contents(),
        };
        let etag = format!("\"{}\"", &HEXLOWER.encode(&Sha256::digest(bytes))[..32]);
        assets.insert(
            path,
            Asset {
                bytes,
                media_type,
                etag,
            },
        );
    }
    for inner in dir.dirs() {
        add(folder, inner, assets);
    }
}

/// A script or stylesheet without whole-line comments, which fans on slow networks need not load.
/// Emptied lines stay, so that line numbers match the source.
fn without_comments(source: &str) -> String {
    let mut served = String::with_capacity(source.len());
    let mut inside = false;
    for line in source.lines() {
        let text = line.trim();
        let ends = text.find("*/").map(|at| at + 2);
        let opens = !inside && text.starts_with("/*");
        let whole_line = inside || (opens && ends.is_none_or(|end| end == text.len()));
        if !whole_line && !text.starts_with("//") {
            served.push_str(text);
        }
        inside = (inside || opens) && ends.is_none();
        served.push('\n');
    }
    served
}

/// The media type by extension. Tests and unknown files have none and are not served.
fn media_type(path: &str) -> Option<&'static str> {
    if path.contains("/tests/") {
        return None;
    }
    match path.rsplit_once('.')?.1 {
        "css" => Some("text/css; charset=utf-8"),
        "js" => Some("text/javascript; charset=utf-8"),
        "svg" => Some("image/svg+xml"),
        "png" => Some("image/png"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asset_url_names_the_version_and_leads_back_to_the_asset() {
        let url = asset_url("css/tokens.css");
        let rest = url.strip_prefix(ASSET_PREFIX).unwrap();
        let (version, path) = rest.split_once('/').unwrap();
        assert_eq!(
            asset_cache_control(version),
            "public, max-age=31536000, immutable"
        );
        assert_eq!(asset(path).unwrap().media_type, "text/css; charset=utf-8");
        assert_eq!(asset_cache_control("another"), "no-store");
    }

    #[test]
    fn comments_go_and_line_numbers_stay() {
        let source = "// a\n/**\n * b\n */\n  f(); // c\n/** @type {x} */ (y).z();\n/* d */\nend\n";
        assert_eq!(
            without_comments(source),
            "\n\n\n\nf(); // c\n/** @type {x} */ (y).z();\n\nend\n"
        );
    }

    #[test]
    fn only_what_pages_use_is_served() {
        assert!(asset("js/main.js").is_some());
        assert!(asset("js/texts/en.js").is_some());
        assert!(ASSETS.keys().all(|path| !path.contains("tests")));
        assert!(asset("../Cargo.toml").is_none());
    }
}
