//! The scanner page, and the worker that keeps it in browsers.

use data_encoding::HEXLOWER;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::asset::{asset_url, asset_version, paths};
use crate::engine::render;

/// Where the page is.
pub const CHECKIN_PATH: &str = "/checkin/";
/// Where its worker is: a worker keeps what is below its own path.
pub const CHECKIN_WORKER_PATH: &str = "/checkin/worker.js";

/// The Content-Security-Policy of the page and of its worker: nothing from elsewhere, no forms that
/// leave the page.
pub const CHECKIN_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'";

/// The source of the worker, which is not served as an asset of its own.
const WORKER: &str = include_str!("js/checkin/worker.js");

/// Assets of the page by what their paths begin with.
const PARTS: [&str; 7] = [
    "js/checkin/",
    "js/vendor/",
    "css/checkin.css",
    "css/layout.css",
    "css/reset.css",
    "css/tokens.css",
    "images/icon.svg",
];

#[derive(Serialize)]
struct Nothing {}

/// The scanner page, the same for everyone: who scans is known to the browser alone.
pub fn checkin() -> String {
    render("checkin.html", &Nothing {})
}

/// The worker, with the version and the names of all that it keeps.
pub fn checkin_worker() -> String {
    let assets = paths().filter(|path| PARTS.iter().any(|part| path.starts_with(part)));
    let files: Vec<String> = std::iter::once(CHECKIN_PATH.to_owned())
        .chain(assets.map(asset_url))
        .collect();
    let files = serde_json::json!(files);
    // The page is no asset, and may change alone.
    let page = HEXLOWER.encode(&Sha256::digest(checkin())[..4]);
    let version = format!("{}-{page}", asset_version());
    format!("self.ROPELINE_VERSION = \"{version}\";\nself.ROPELINE_FILES = {files};\n{WORKER}")
}
