//! Tells cargo which folders the crate embeds, so that a new file in one is noticed.

#![expect(
    clippy::print_stdout,
    reason = "a build script speaks to cargo this way"
)]

fn main() {
    for folder in ["css", "images", "js", "templates"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
