//! Makes cargo rebuild the crate when a file is added to an embedded folder.

fn main() {
    for folder in ["css", "images", "js", "templates"] {
        println!("cargo::rerun-if-changed={folder}");
    }
}
