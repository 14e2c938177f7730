//! A new migration file has to rebuild the crate that embeds the folder.

fn main() {
    println!("cargo:rerun-if-changed=.");
}
