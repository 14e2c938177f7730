//! Names of the gateway's and the booking core's cookies.
//!
//! On HTTPS every name begins with [`HOST_PREFIX`] too. None of these cookies is sent to or
//! accepted from a remote upstream.

/// A prefix for which browsers require `Secure`, `Path=/` and no `Domain`.
pub const HOST_PREFIX: &str = "__Host-";
/// A place cookie: this prefix and the name of the room.
pub const PLACE_PREFIX: &str = "ropeline_place_";
/// A pass cookie: this prefix and the name of the room.
pub const PASS_PREFIX: &str = "ropeline_pass_";
/// Which of several addresses of a room's upstream a fan stays with: this prefix and the name of the
/// room.
pub const ADDRESS_PREFIX: &str = "ropeline_at_";
/// The customer's session at the booking core.
pub const SESSION: &str = "ropeline_session";
/// [`SESSION`] on HTTPS.
pub const SESSION_SECURE: &str = "__Host-ropeline_session";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_secure_name_is_the_plain_one_behind_the_prefix() {
        assert_eq!(SESSION_SECURE.strip_prefix(HOST_PREFIX), Some(SESSION));
    }
}
