//! Typed identifiers. Each has one text form, checked wherever it enters the system.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

/// Why a text is not an identifier of the kind asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a valid {kind}: {rule}")]
pub struct InvalidId {
    /// What was asked for, such as `room`.
    pub kind: &'static str,
    /// What its text form must look like.
    pub rule: &'static str,
}

macro_rules! text_form {
    ($name:ident, $pattern:expr, $example:expr) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                utoipa::openapi::ObjectBuilder::new()
                    .schema_type(utoipa::openapi::schema::Type::String)
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

/// A name in a URL: lower-case letters, digits and inner hyphens.
macro_rules! slug {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $example:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text form.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let edge = |b: Option<&u8>| b.is_some_and(|b| *b != b'-');
                let bytes = text.as_bytes();
                if (1..=64).contains(&bytes.len())
                    && bytes.iter().all(|b| inner(*b))
                    && edge(bytes.first())
                    && edge(bytes.last())
                {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(InvalidId {
                        kind: $kind,
                        rule: "1 to 64 lower-case letters, digits and hyphens, no hyphen at either end",
                    })
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        text_form!($name, SLUG_PATTERN, $example);
    };
}

/// What a [`slug!`] looks like, as a regular expression of JSON Schema.
const SLUG_PATTERN: &str = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$";

slug!(
    /// A waiting room, such as `eras`.
    RoomId, "room", "eras"
);
slug!(
    /// A city of the catalogue, such as `mumbai`.
    CityId, "city", "mumbai"
);
slug!(
    /// A show of the catalogue, such as `eras-mumbai-1`.
    ShowId, "show", "eras-mumbai-1"
);

/// A time-ordered id with a prefix that names its kind, such as `hold_01j…`.
macro_rules! prefixed {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// The id that holds `uuid`; new ones are UUIDv7, made by the caller from its clock.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The id as the database stores it.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix)
                    .filter(|rest| rest.len() == 32)
                    .filter(|rest| !rest.bytes().any(|b| b.is_ascii_uppercase()))
                    .and_then(|rest| Uuid::try_parse(rest).ok())
                    .map(Self)
                    .ok_or(InvalidId {
                        kind: $kind,
                        rule: concat!("`", $prefix, "` and 32 lower-case hexadecimal digits"),
                    })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        text_form!(
            $name,
            concat!("^", $prefix, "[0-9a-f]{32}$"),
            concat!($prefix, "0198c2e4f7a87c1e9d3b5a6f70812c3d")
        );
    };
}

prefixed!(
    /// A hold on seats.
    HoldId, "hold_", "hold"
);
prefixed!(
    /// A payment of a hold: an attempt, of which there may be several.
    PaymentId, "pay_", "payment"
);
prefixed!(
    /// A confirmed purchase.
    BookingId, "bkg_", "booking"
);
prefixed!(
    /// A ticket of a booking.
    TicketId, "tkt_", "ticket"
);
prefixed!(
    /// Money that goes back, and the cancellation that it belongs to.
    RefundId, "rfd_", "refund"
);
prefixed!(
    /// A mail to a fan.
    NoticeId, "ntc_", "notice"
);
prefixed!(
    /// A scanner at a gate: a token that tickets are scanned with.
    ScannerId, "scn_", "scanner"
);

prefixed!(
    /// An event of the log.
    EventId, "evt_", "event"
);
prefixed!(
    /// A subscription to events.
    SubscriptionId, "sub_", "subscription"
);

/// A visitor's place in a room's line: 128 random-looking bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId([u8; 16]);

impl PlaceId {
    /// The place with these bytes.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as the store keeps them.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for PlaceId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId {
            kind: "place",
            rule: "22 characters of base64url",
        };
        let bytes = BASE64URL_NOPAD
            .decode(text.as_bytes())
            .map_err(|_| invalid)?;
        bytes.try_into().map(Self).map_err(|_| invalid)
    }
}

impl PlaceId {
    /// The id as base64url without padding, in ASCII.
    pub fn to_ascii(self) -> [u8; 22] {
        let mut text = [0; 22];
        BASE64URL_NOPAD.encode_mut(&self.0, &mut text);
        text
    }
}

impl fmt::Display for PlaceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

text_form!(
    PlaceId,
    "^[A-Za-z0-9_-]{21}[AQgw]$",
    "q83vEjRWeJCrze8SNFZ4kA"
);

/// A seat's id within its show, such as `A10`. Safe in URLs; what fans read is its section, row
/// and number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SeatId(String);

impl SeatId {
    /// The label.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SeatId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if (1..=64).contains(&text.len()) && text.bytes().all(valid) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidId {
                kind: "seat",
                rule: "1 to 64 letters, digits, hyphens and underscores",
            })
        }
    }
}

impl fmt::Display for SeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_form!(SeatId, "^[A-Za-z0-9-]{1,16}$", "A10");

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: FromStr + fmt::Display>(text: &str, valid: bool) {
        match text.parse::<T>() {
            Ok(id) => assert!(valid && id.to_string() == text, "{text} read as {id}"),
            Err(_) => assert!(!valid, "{text} was refused"),
        }
    }

    #[test]
    fn slugs_are_url_words() {
        for (text, valid) in [
            ("eras", true),
            ("eras-2026", true),
            ("", false),
            ("-eras", false),
            ("eras-", false),
            ("Eras", false),
            ("a/b", false),
            ("a b", false),
        ] {
            check::<RoomId>(text, valid);
        }
        check::<RoomId>(&"x".repeat(64), true);
        check::<RoomId>(&"x".repeat(65), false);
    }

    #[test]
    fn prefixed_ids_have_one_spelling() {
        check::<HoldId>("hold_0190163d8694739baea51966c26f8ad9", true);
        check::<HoldId>("hold_0190163D8694739BAEA51966C26F8AD9", false);
        check::<HoldId>("hold_0190163d-8694-739b-aea5-1966c26f8ad9", false);
        check::<HoldId>("bkg_0190163d8694739baea51966c26f8ad9", false);
    }

    #[test]
    fn places_are_sixteen_bytes() {
        check::<PlaceId>("AAAAAAAAAAAAAAAAAAAAAA", true);
        check::<PlaceId>("AAAA", false);
        check::<PlaceId>("AAAAAAAAAAAAAAAAAAAAA+", false);
    }
}
