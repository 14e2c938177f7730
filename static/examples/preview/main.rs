//! Writes every page in every state with sample data into a folder, for looking at them:
//! `cargo run -p pages --example preview -- <folder>`.
//!
//! Links to styles and scripts are made relative, so that the files can be opened directly.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

mod shop;
mod waiting;

fn main() -> io::Result<()> {
    let folder = env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("target/preview"), PathBuf::from);
    fs::create_dir_all(&folder)?;
    for path in pages::asset::paths() {
        let Some(asset) = pages::asset(path) else {
            continue;
        };
        let file = folder.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&folder))?;
        fs::write(file, asset.bytes)?;
    }
    for (name, html) in waiting::pages().into_iter().chain(shop::pages()) {
        write(&folder, &name, &html)?;
    }
    // Where the script of the seat map looks for it, when the folder is served.
    let api = folder.join("api/v1/shows/monsoon-mumbai-1");
    fs::create_dir_all(&api)?;
    fs::write(
        api.join("seatmap"),
        serde_json::to_vec(&shop::seat_map()).map_err(io::Error::other)?,
    )
}

fn write(folder: &Path, name: &str, html: &str) -> io::Result<()> {
    let versioned = pages::asset_url("");
    fs::write(
        folder.join(format!("{name}.html")),
        html.replace(&versioned, ""),
    )
}
