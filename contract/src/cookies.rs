//! Names of our cookies.
//!
//! On HTTPS every name begins with [`HOST_PREFIX`] too. None of these cookies reaches a remote
//! upstream, and none comes from one.

/// What a browser demands of a cookie with such a name: `Secure`, `Path=/` and no `Domain`.
pub const HOST_PREFIX: &str = "__Host-";
/// A place: this and the name of the room.
pub const PLACE_PREFIX: &str = "ropeline_place_";
/// A pass: this and the name of the room.
pub const PASS_PREFIX: &str = "ropeline_pass_";
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
