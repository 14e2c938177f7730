//! Tells cargo which folders the crate embeds, so that a new file in one is noticed.

fn main() {
    for folder in ["css", "images", "js", "templates"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
