//! The proof of work on a command line, for `scripts/altcha-check`.

use contract::{Clock, SystemClock};
use web::challenge::{About, Challenge, ProofOfWork, solve};

/// What the challenge is for.
const ABOUT: About<'static> = About {
    purpose: "pay",
    subject: "hold",
};
const EFFORT: u32 = 20_000;

#[expect(clippy::print_stdout, reason = "the output of a program")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let now = SystemClock.now();
    let work = |key: &str| {
        let mut bytes = [0; 32];
        let given = key.as_bytes();
        let length = given.len().min(32);
        bytes[..length].copy_from_slice(&given[..length]);
        ProofOfWork::new(bytes)
    };
    let said = match arguments.as_slice() {
        ["issue", key] => {
            let issued = work(key).issue(ABOUT, EFFORT, now, [7; 16]);
            issued.parameters.to_string()
        }
        ["solve", challenge] => serde_json::from_str(challenge)
            .ok()
            .and_then(|challenge| solve(&challenge))
            .unwrap_or_default(),
        ["verify", key, proof] => match work(key).verify(ABOUT, proof, now) {
            Ok(_) => "verified".to_owned(),
            Err(_) => "refused".to_owned(),
        },
        _ => "issue KEY, solve CHALLENGE or verify KEY PROOF".to_owned(),
    };
    println!("{said}");
}
