//! Writes every page in every state and every mail with sample data into a folder, for looking at them:
//! `cargo run -p pages --example preview -- <folder>`.
//!
//! Links to styles and scripts are made relative, so that the files can be opened directly.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

mod mail;
mod prices;
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
    let letters = pages::letters::Letters::default();
    for language in pages::letters::languages() {
        for (name, written) in mail::mails(&letters, language) {
            let name = format!("{name}.{language}");
            write(&folder, &name, &written.mail.html)?;
            fs::write(folder.join(format!("{name}.txt")), written.mail.text)?;
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, html: &str) -> io::Result<()> {
    let versioned = pages::asset_url("");
    fs::write(
        folder.join(format!("{name}.html")),
        html.replace(&versioned, ""),
    )
}
