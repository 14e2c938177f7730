//! `ropeline draw verify`: whether the draw is the one committed to, and where it put a visitor.

use contract::RoomId;
use contract::line::DrawDocument;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER, HEXLOWER_PERMISSIVE};
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::args::DrawArgs;
use crate::client::AdminClient;
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Names the computation, so that its HMAC means nothing elsewhere.
const DOMAIN: &[u8] = b"ropeline-draw-v1";
/// Bits cut off the first eight bytes, so that a key stays below 2^52.
const KEY_SHIFT: u32 = 12;

/// What the check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrawVerdict {
    /// The room.
    pub room: RoomId,
    /// The commitment that is published.
    pub commitment: String,
    /// The seed, once it is published.
    pub seed: Option<String>,
    /// Whether the seed is the one committed to; unknown before it is published.
    pub seed_matches: Option<bool>,
    /// Whether the commitment is the one noted before opening, when that was given.
    pub commitment_unchanged: Option<bool>,
    /// The nonce asked about.
    pub nonce: Option<String>,
    /// Its order key, a decimal string.
    pub order_key: Option<String>,
    /// Whether that is the order key the visitor was given, when that was given.
    pub order_key_matches: Option<bool>,
    /// Whether everything that was asked could be checked and is right.
    pub verified: bool,
}

/// What a visitor wants compared with the published draw.
#[derive(Clone, Copy, Debug, Default)]
pub struct Claimed<'a> {
    /// Their nonce.
    pub nonce: Option<&'a [u8; 16]>,
    /// The order key they were given.
    pub order_key: Option<u64>,
    /// The commitment they noted before opening.
    pub commitment: Option<&'a str>,
}

/// Runs the command.
pub(crate) async fn verify(
    args: &DrawArgs,
    client: &AdminClient,
    console: &Console,
) -> Result<Exit, Failure> {
    let nonce = args.nonce.as_deref().map(parse_nonce).transpose()?;
    let path = format!("_line/v1/rooms/{}/draw", args.room);
    let document: DrawDocument = client.get_public(&path).await?;
    let claimed = Claimed {
        nonce: nonce.as_ref(),
        order_key: args.order_key,
        commitment: args.commitment.as_deref(),
    };
    let verdict = judge(&args.room, &document, claimed)?;
    if console.is_json() {
        console.document(&verdict)?;
    } else {
        console.text(&verdict_text(&verdict))?;
    }
    Ok(if verdict.verified {
        Exit::Fine
    } else {
        Exit::Failed
    })
}

/// Compares the published draw of `room` with what is claimed about it.
pub fn judge(
    room: &RoomId,
    document: &DrawDocument,
    claimed: Claimed<'_>,
) -> Result<DrawVerdict, Failure> {
    let seed = document.seed.as_deref().map(parse_seed).transpose()?;
    let seed_matches = seed.as_ref().map(|seed| {
        let digest = HEXLOWER.encode(&Sha256::digest(seed));
        digest == document.commitment.to_ascii_lowercase()
    });
    let commitment_unchanged = claimed
        .commitment
        .map(|noted| noted.trim().eq_ignore_ascii_case(&document.commitment));
    let key = seed
        .as_ref()
        .zip(claimed.nonce)
        .map(|(seed, nonce)| order_key(seed, room, nonce));
    let order_key_matches = claimed.order_key.map(|given| key == Some(given));
    Ok(DrawVerdict {
        room: room.clone(),
        commitment: document.commitment.clone(),
        seed: document.seed.clone(),
        seed_matches,
        commitment_unchanged,
        nonce: claimed.nonce.map(|nonce| BASE64URL_NOPAD.encode(nonce)),
        order_key: key.map(|key| key.to_string()),
        order_key_matches,
        verified: document.room == *room
            && seed_matches == Some(true)
            && commitment_unchanged != Some(false)
            && order_key_matches != Some(false),
    })
}

/// The order key of `nonce` in the draw of `room`.
#[expect(clippy::missing_panics_doc, reason = "HMAC takes keys of any length")]
pub fn order_key(seed: &[u8], room: &RoomId, nonce: &[u8; 16]) -> u64 {
    let mut mac = Hmac::<Sha256>::new_from_slice(seed).expect("HMAC takes keys of any length");
    mac.update(DOMAIN);
    mac.update(&[0]);
    mac.update(room.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(nonce);
    let digest = mac.finalize().into_bytes();
    let mut head = [0; 8];
    head.copy_from_slice(&digest[..8]);
    u64::from_be_bytes(head) >> KEY_SHIFT
}

fn parse_nonce(text: &str) -> Result<[u8; 16], Failure> {
    let bytes = BASE64URL_NOPAD
        .decode(text.trim_end_matches('=').as_bytes())
        .ok();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| {
            Failure::usage(format!("`{text}` is not a nonce"))
                .hint("a nonce is 16 bytes in base64url, 22 characters")
        })
}

fn parse_seed(text: &str) -> Result<Vec<u8>, Failure> {
    HEXLOWER_PERMISSIVE
        .decode(text.as_bytes())
        .map_err(|error| Failure::failed(format!("The published seed is not hexadecimal: {error}")))
}

fn verdict_text(verdict: &DrawVerdict) -> String {
    let mut lines = vec![
        format!("room           {}", verdict.room),
        format!("commitment     {}", verdict.commitment),
    ];
    if let Some(unchanged) = verdict.commitment_unchanged {
        let word = if unchanged {
            "yes"
        } else {
            "NO: it differs from the noted one"
        };
        lines.push(format!("  as noted     {word}"));
    }
    match (&verdict.seed, verdict.seed_matches) {
        (Some(seed), Some(matches)) => {
            let word = if matches {
                "yes"
            } else {
                "NO: another seed was used"
            };
            lines.push(format!("seed           {seed}"));
            lines.push(format!("  committed to {word}"));
        }
        _ => lines.push("seed           not published before the room opens".to_owned()),
    }
    if let Some(key) = &verdict.order_key {
        lines.push(format!("order key      {key}"));
    }
    if let Some(matches) = verdict.order_key_matches {
        let word = if matches {
            "yes"
        } else {
            "NO: the draw gives another"
        };
        lines.push(format!("  as given     {word}"));
    }
    lines.push(match (verdict.verified, &verdict.seed) {
        (true, _) => "The draw is genuine.".to_owned(),
        (false, None) => "Nothing can be verified yet. Note the commitment.".to_owned(),
        (false, Some(_)) => "The draw is NOT what was committed to.".to_owned(),
    });
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    // Computed by an independent implementation, for the seed 00 01 … 1f, the room `eras` and
    // the nonce 00 01 … 0f.
    const COMMITMENT: &str = "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd";
    const ORDER_KEY: u64 = 4_380_303_371_600_603;

    fn nonce() -> [u8; 16] {
        std::array::from_fn(|index| u8::try_from(index).unwrap())
    }

    fn document(seed: Option<&str>) -> DrawDocument {
        DrawDocument {
            room: "eras".parse().unwrap(),
            algorithm: String::new(),
            commitment: COMMITMENT.to_owned(),
            seed: seed.map(str::to_owned),
            revealed_at: None,
            nonce: None,
            order_key: None,
        }
    }

    fn seed() -> String {
        HEXLOWER.encode(&(0..32).collect::<Vec<u8>>())
    }

    fn verdict(document: &DrawDocument, claimed: Claimed<'_>) -> DrawVerdict {
        judge(&"eras".parse().unwrap(), document, claimed).unwrap()
    }

    #[test]
    fn a_genuine_draw_is_verified() {
        let nonce = nonce();
        let claimed = Claimed {
            nonce: Some(&nonce),
            order_key: Some(ORDER_KEY),
            commitment: Some(COMMITMENT),
        };
        let verdict = verdict(&document(Some(&seed())), claimed);
        assert_eq!(verdict.order_key, Some(ORDER_KEY.to_string()));
        assert_eq!(verdict.seed_matches, Some(true));
        assert!(verdict.verified, "{verdict:?}");
    }

    #[test]
    fn every_kind_of_forgery_is_found() {
        let nonce = nonce();
        let other_seed = seed().replace("1f", "1e");
        let unasked = Claimed::default();
        let key = Claimed {
            nonce: Some(&nonce),
            order_key: Some(ORDER_KEY + 1),
            ..unasked
        };
        let commitment = Claimed {
            commitment: Some("00"),
            ..unasked
        };
        for (seed, claimed) in [(other_seed, unasked), (seed(), key), (seed(), commitment)] {
            let verdict = verdict(&document(Some(&seed)), claimed);
            assert!(!verdict.verified, "{verdict:?}");
            assert!(verdict_text(&verdict).contains("NO"), "{verdict:?}");
        }
    }

    #[test]
    fn before_opening_nothing_is_verified() {
        let verdict = verdict(&document(None), Claimed::default());
        assert_eq!((verdict.verified, verdict.seed_matches), (false, None));
        assert!(verdict_text(&verdict).contains("Note the commitment"));
    }

    #[test]
    fn the_key_depends_on_room_and_nonce() {
        let seed: Vec<u8> = (0..32).collect();
        let eras = "eras".parse().unwrap();
        assert_eq!(order_key(&seed, &eras, &nonce()), ORDER_KEY);
        assert_ne!(
            order_key(&seed, &"era".parse().unwrap(), &nonce()),
            ORDER_KEY
        );
        assert_ne!(order_key(&seed, &eras, &[0; 16]), ORDER_KEY);
        assert!(order_key(&[], &eras, &nonce()) < 1 << 52);
    }

    #[test]
    fn nonces_are_sixteen_bytes() {
        assert_eq!(parse_nonce("AAECAwQFBgcICQoLDA0ODw"), Ok(nonce()));
        assert_eq!(parse_nonce("AAECAwQFBgcICQoLDA0ODw=="), Ok(nonce()));
        assert!(parse_nonce("AAEC").is_err() && parse_nonce("?").is_err());
    }
}
