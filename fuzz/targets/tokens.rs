//! Passes and place tokens: an accepted token is written again as itself, so that there is one text
//! for each; and what is signed is read as it was.

#![no_main]

use std::sync::LazyLock;
use std::time::Duration;

use contract::pass::{PassClaims, PassKey, PassKeys, TOKEN_USE_ACCESS};
use contract::{PlaceId, RoomId, Timestamp};
use libfuzzer_sys::fuzz_target;
use line::policy::order::OrderKey;
use line::policy::place::{PlaceKeys, PlaceToken};

/// A time at which the passes of the corpus are valid.
const NOW: Timestamp = Timestamp::from_ms(1_790_000_000_000);

static PASSES: LazyLock<PassKeys> =
    LazyLock::new(|| PassKeys::new("https://tickets.example", vec![key(1), key(2)]).expect("keys"));
static PLACES: LazyLock<PlaceKeys> = LazyLock::new(|| PlaceKeys::new(&[key(1), key(2)], [3; 32]));

fn key(seed: u8) -> PassKey {
    PassKey::from_seed([seed; 32]).expect("a seed is a key")
}

/// Genuine tokens, which are edited: by chance alone nobody comes near one.
static GENUINE: LazyLock<[String; 2]> = LazyLock::new(|| {
    let issued = NOW.as_unix_seconds();
    let claims = PassClaims {
        iss: PASSES.issuer().to_owned(),
        aud: "eras".parse().expect("a room"),
        sub: PlaceId::from_bytes([4; 16]),
        jti: "session".to_owned(),
        iat: issued,
        nbf: issued,
        exp: issued + 600,
        queue_position: 7,
        token_use: TOKEN_USE_ACCESS.to_owned(),
    };
    let token = token_of(&[&[5; 60][..], b"eras"].concat()).expect("a token");
    [PASSES.sign(&claims).expect("a pass"), PLACES.sign(&token)]
});

fuzz_target!(|bytes: &[u8]| {
    for genuine in &*GENUINE {
        let edited = edited(genuine, bytes);
        pass(&edited);
        place(&edited);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        pass(text);
        place(text);
    }
    if let Some(token) = token_of(bytes) {
        let text = PLACES.sign(&token);
        assert_eq!(PLACES.verify(&text), Ok(token));
    }
});

/// A token with some of its characters replaced, left out or repeated: each edit is three bytes.
fn edited(token: &str, edits: &[u8]) -> String {
    let mut text: Vec<u8> = token.bytes().collect();
    for edit in edits.chunks_exact(3).take(8) {
        let at = usize::from(u16::from_be_bytes([edit[0] & 1, edit[1]])) % text.len().max(1);
        match edit[0] >> 1 {
            0 => drop(text.remove(at)),
            1 => text.insert(at, edit[2]),
            2 => text.truncate(at),
            _ => text[at] = edit[2],
        }
        if text.is_empty() {
            break;
        }
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn pass(text: &str) {
    let late = PASSES.verify_late(text, NOW, Duration::from_secs(3600), |_| true);
    let Ok(claims) = PASSES.verify(text, NOW) else {
        return;
    };
    assert_eq!(late.as_ref(), Ok(&claims));
    assert_eq!(
        PASSES.sign(&claims).as_deref(),
        Ok(text),
        "a pass has one text"
    );
    assert_eq!(PASSES.verify_for(text, &claims.aud, NOW), Ok(claims));
}

fn place(text: &str) {
    if let Ok(token) = PLACES.verify(text) {
        assert_eq!(PLACES.sign(&token), text, "a place token has one text");
    }
}

/// A token out of arbitrary bytes.
fn token_of(bytes: &[u8]) -> Option<PlaceToken> {
    let (fixed, room) = bytes.split_first_chunk::<60>()?;
    let number = |at: usize| {
        let eight = fixed[at..at + 8].try_into().unwrap_or_default();
        u64::from_be_bytes(eight) & ((1 << 53) - 1)
    };
    Some(PlaceToken {
        room: std::str::from_utf8(room).ok()?.parse::<RoomId>().ok()?,
        place: PlaceId::from_bytes(fixed[..16].try_into().ok()?),
        key: if fixed[16] & 1 == 0 {
            OrderKey::new(number(16))
        } else {
            None
        },
        nonce: fixed[24..40].try_into().ok()?,
        issued_at: Timestamp::from_ms(i64::try_from(number(40)).ok()?),
        epoch: u32::from_be_bytes(fixed[48..52].try_into().ok()?),
        number: number(44),
        ahead: number(52),
    })
}
