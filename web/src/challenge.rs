//! Challenges: what a client has to do before a request is taken.
//!
//! [`Challenge`] is the seam: each kind issues parameters and verifies solutions, without state.
//! Whoever takes a solution has to see to it that it is used once, by [`Verified::id`].
//!
//! [`ProofOfWork`] speaks ALTCHA's first protocol, so that its widget and its libraries solve it. The
//! client looks for the number that the server drew: the SHA-256 digest of the salt and the number is
//! known. The salt carries the end of the challenge and what it was issued for, and an HMAC signs it.

use std::fmt;

use contract::Timestamp;
use data_encoding::{BASE64, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The only algorithm.
const ALGORITHM: &str = "SHA-256";
/// How long a challenge can be solved, in seconds.
const LASTS_SECONDS: i64 = 600;
/// Longest text of a solution; ours have about 400 bytes.
const SOLUTION_BYTES_MAX: usize = 2048;

/// What a challenge is issued for: a solution is good for nothing else.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// What the client wants to do, such as `pay`.
    pub purpose: &'a str,
    /// What it is done to and by whom, such as the id of a hold.
    pub subject: &'a str,
}

/// A challenge as a client gets it.
#[derive(Clone, Debug, PartialEq)]
pub struct Issued {
    /// The kind, as in a problem document.
    pub kind: &'static str,
    /// What a client needs to solve it.
    pub parameters: Value,
}

/// A solution that is right. It has to be used once only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The id of the challenge.
    pub id: [u8; 32],
    /// When the challenge ends.
    pub expires_at: Timestamp,
}

/// Why a solution is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SolutionRefusal {
    /// It is no solution.
    Unreadable,
    /// The challenge is none of ours, or was changed.
    Forged,
    /// It does not solve the challenge.
    Wrong,
    /// The challenge has ended.
    Expired,
    /// The challenge was issued for something else.
    Foreign,
}

/// A kind of challenge.
pub trait Challenge: Send + Sync {
    /// A new challenge. The work that it takes grows with `effort`.
    fn issue(&self, about: About<'_>, effort: u32, now: Timestamp, random: [u8; 16]) -> Issued;
    /// Whether `solution` solves a challenge that was issued for `about`.
    fn verify(
        &self,
        about: About<'_>,
        solution: &str,
        now: Timestamp,
    ) -> Result<Verified, SolutionRefusal>;
}

/// Work for the client's processor: `effort` / 2 digests on average.
#[derive(Clone)]
pub struct ProofOfWork {
    key: [u8; 32],
}

/// A solution as ALTCHA's clients write it. They add members that are not read.
#[derive(Serialize, Deserialize)]
struct Solution {
    algorithm: String,
    challenge: String,
    number: u64,
    salt: String,
    signature: String,
}

impl ProofOfWork {
    /// The kind, as in a problem document.
    pub const KIND: &'static str = "proof-of-work";

    /// Challenges that are signed with `key`.
    pub const fn new(key: [u8; 32]) -> Self {
        Self { key }
    }

    fn mac(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.key) else {
            unreachable!("HMAC takes keys of any length")
        };
        for part in parts {
            mac.update(part);
        }
        mac
    }

    /// Names what a challenge is for, without telling it.
    fn mark(&self, about: About<'_>) -> String {
        let parts = [about.purpose.as_bytes(), b"\0", about.subject.as_bytes()];
        HEXLOWER.encode(&self.mac(&parts).finalize().into_bytes()[..16])
    }
}

impl fmt::Debug for ProofOfWork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofOfWork(..)")
    }
}

fn digest(salt: &str, number: u64) -> [u8; 32] {
    Sha256::digest(format!("{salt}{number}")).into()
}

/// The value of a parameter in a salt.
fn parameter<'a>(salt: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = salt.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

impl Challenge for ProofOfWork {
    fn issue(&self, about: About<'_>, effort: u32, now: Timestamp, random: [u8; 16]) -> Issued {
        let expires = now.as_unix_seconds() + LASTS_SECONDS;
        // The last `&` keeps digits of the number from being read as part of the salt.
        let salt = format!(
            "{}?expires={expires}&for={}&",
            HEXLOWER.encode(&random),
            self.mark(about)
        );
        let drawn = self.mac(&[b"number\0", salt.as_bytes()]).finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&drawn.into_bytes()[..8]);
        let number = u64::from_be_bytes(bytes) % (u64::from(effort) + 1);
        let challenge = HEXLOWER.encode(&digest(&salt, number));
        let signature = self.mac(&[challenge.as_bytes()]).finalize().into_bytes();
        Issued {
            kind: Self::KIND,
            parameters: json!({
                "algorithm": ALGORITHM,
                "challenge": challenge,
                "maxnumber": effort,
                "salt": salt,
                "signature": HEXLOWER.encode(&signature),
            }),
        }
    }

    fn verify(
        &self,
        about: About<'_>,
        solution: &str,
        now: Timestamp,
    ) -> Result<Verified, SolutionRefusal> {
        if solution.len() > SOLUTION_BYTES_MAX {
            return Err(SolutionRefusal::Unreadable);
        }
        let unreadable = |_| SolutionRefusal::Unreadable;
        let text = BASE64
            .decode(solution.trim().as_bytes())
            .map_err(unreadable)?;
        let solution: Solution =
            serde_json::from_slice(&text).map_err(|_| SolutionRefusal::Unreadable)?;
        let signature = HEXLOWER
            .decode(solution.signature.as_bytes())
            .map_err(unreadable)?;
        let mac = self.mac(&[solution.challenge.as_bytes()]);
        if mac.verify_slice(&signature).is_err() {
            return Err(SolutionRefusal::Forged);
        }
        let id = digest(&solution.salt, solution.number);
        let is_right = solution.algorithm == ALGORITHM
            && solution.salt.ends_with('&')
            && HEXLOWER.encode(&id) == solution.challenge;
        if !is_right {
            return Err(SolutionRefusal::Wrong);
        }
        // From here on the salt is as it was issued: its digest with the number is signed.
        let expires = parameter(&solution.salt, "expires").and_then(|text| text.parse().ok());
        let expires: i64 = expires.ok_or(SolutionRefusal::Forged)?;
        if expires <= now.as_unix_seconds() {
            return Err(SolutionRefusal::Expired);
        }
        if parameter(&solution.salt, "for") != Some(self.mark(about).as_str()) {
            return Err(SolutionRefusal::Foreign);
        }
        Ok(Verified {
            id,
            expires_at: Timestamp::from_ms(expires.saturating_mul(1000)),
        })
    }
}

/// Solves a challenge of [`ProofOfWork`] as a client does. For tests.
pub fn solve(parameters: &Value) -> Option<String> {
    let text = |name: &str| parameters[name].as_str().map(str::to_owned);
    let (challenge, salt) = (text("challenge")?, text("salt")?);
    let wanted = HEXLOWER.decode(challenge.as_bytes()).ok()?;
    let number =
        (0..=parameters["maxnumber"].as_u64()?).find(|n| digest(&salt, *n)[..] == wanted[..])?;
    let solution = Solution {
        algorithm: text("algorithm")?,
        challenge,
        number,
        salt,
        signature: text("signature")?,
    };
    Some(BASE64.encode(&serde_json::to_vec(&solution).ok()?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);
    const PAY: About<'static> = About {
        purpose: "pay",
        subject: "hold-1",
    };

    fn issued() -> (ProofOfWork, Value) {
        let work = ProofOfWork::new([3; 32]);
        let issued = work.issue(PAY, 500, NOW, [9; 16]);
        (work, issued.parameters)
    }

    fn changed(solution: &str, change: impl FnOnce(&mut Value)) -> String {
        let text = BASE64.decode(solution.as_bytes()).unwrap();
        let mut read: Value = serde_json::from_slice(&text).unwrap();
        change(&mut read);
        BASE64.encode(read.to_string().as_bytes())
    }

    #[test]
    fn a_solution_is_good_for_what_it_was_issued_for_until_it_ends() {
        let (work, parameters) = issued();
        let solution = solve(&parameters).unwrap();
        let verified = work.verify(PAY, &solution, NOW).unwrap();
        assert_eq!(verified.expires_at, NOW.plus(Duration::from_secs(600)));
        let other = About {
            subject: "hold-2",
            ..PAY
        };
        assert_eq!(
            work.verify(other, &solution, NOW),
            Err(SolutionRefusal::Foreign)
        );
        let hold = About {
            purpose: "hold",
            ..PAY
        };
        assert_eq!(
            work.verify(hold, &solution, NOW),
            Err(SolutionRefusal::Foreign)
        );
        let late = verified.expires_at;
        assert_eq!(
            work.verify(PAY, &solution, late),
            Err(SolutionRefusal::Expired)
        );
        let elsewhere = ProofOfWork::new([4; 32]);
        let forged = elsewhere.verify(PAY, &solution, NOW);
        assert_eq!(forged, Err(SolutionRefusal::Forged));
    }

    #[test]
    fn nothing_of_a_solution_can_be_changed() {
        let (work, parameters) = issued();
        let solution = solve(&parameters).unwrap();
        let salt = parameters["salt"].as_str().unwrap().to_owned();
        let later = salt.replace("expires=", "expires=9");
        let other = About {
            subject: "hold-2",
            ..PAY
        };
        let foreign = salt.replace(&work.mark(PAY), &work.mark(other));
        for (name, value, refusal) in [
            ("number", json!(100_000), SolutionRefusal::Wrong),
            ("salt", json!(later), SolutionRefusal::Wrong),
            ("salt", json!(foreign), SolutionRefusal::Wrong),
            ("algorithm", json!("SHA-1"), SolutionRefusal::Wrong),
            ("challenge", json!("00"), SolutionRefusal::Forged),
            ("signature", json!("00"), SolutionRefusal::Forged),
            ("signature", json!("no"), SolutionRefusal::Unreadable),
            ("number", json!("7"), SolutionRefusal::Unreadable),
        ] {
            let tampered = changed(&solution, |it| it[name] = value.clone());
            let found = work.verify(PAY, &tampered, NOW);
            assert_eq!(found, Err(refusal), "{name}: {value}");
        }
        // Digits that move from the number to the salt are the same text; the salt ends with `&`.
        let spliced = changed(&solution, |it| {
            let number = it["number"].as_u64().unwrap().to_string();
            let (first, rest) = number.split_at(1);
            it["salt"] = json!(format!("{salt}{first}"));
            it["number"] = json!(rest.parse::<u64>().unwrap_or(0));
        });
        assert_eq!(work.verify(PAY, &spliced, NOW), Err(SolutionRefusal::Wrong));
        for text in ["", "%", "e30=", &"A".repeat(3000)] {
            let found = work.verify(PAY, text, NOW);
            assert_eq!(found, Err(SolutionRefusal::Unreadable), "{text}");
        }
    }

    #[test]
    fn other_members_of_a_solution_are_ignored() {
        let (work, parameters) = issued();
        let solution = solve(&parameters).unwrap();
        let widget = changed(&solution, |it| it["took"] = json!(12));
        assert!(work.verify(PAY, &widget, NOW).is_ok());
    }
}
