//! Limits of a room's settings, for their check and for the OpenAPI document.

/// Most calls per minute. Above it a typing error is likelier than a shop.
pub(crate) const RATE_MAX: u64 = 10_000_000;
/// Most calls at a time. More would be called within one tick, by one script call.
pub(crate) const CALL_BATCH_MAX: u64 = 1_000;
/// Most sessions at once.
pub(crate) const ACTIVE_USERS_MAX: u64 = 10_000_000;
/// Shortest claim window: a phone that wakes up needs a few seconds.
pub(crate) const CLAIM_WINDOW_SECONDS_MIN: u64 = 5;
/// Longest of any duration, a day.
pub(crate) const DURATION_SECONDS_MAX: u64 = 86_400;
/// Highest age of a place token that counts: a year.
pub(crate) const PLACE_AGE_SECONDS_MAX: u64 = 31_536_000;
/// Most connections to an upstream. A process has 20,000 open files unless it is given more.
pub(crate) const UPSTREAM_CONNECTIONS_MAX: u64 = 100_000;
/// Longest title, in characters.
pub(crate) const TITLE_CHARS_MAX: usize = 200;
/// Longest message to fans, in characters.
pub(crate) const MESSAGE_CHARS_MAX: usize = 2_000;
/// Longest reason of a pause, in characters.
pub(crate) const REASON_CHARS_MAX: usize = 500;
/// Most access codes of a room.
pub(crate) const ACCESS_CODES_MAX: usize = 1_000;
/// Longest access code, in characters.
pub(crate) const ACCESS_CODE_CHARS_MAX: usize = 64;
/// Most protected prefixes of a room.
pub(crate) const PATHS_MAX: usize = 64;
/// Longest wait for the head of an answer: no fan waits longer.
pub(crate) const RESPONSE_TIMEOUT_SECONDS_MAX: u64 = 3_600;
/// Most other sites whose pages may read answers.
pub(crate) const CORS_ORIGINS_MAX: usize = 64;
/// Most sites that a room may send its fans to.
pub(crate) const KNOWN_USER_TARGETS_MAX: usize = 64;
/// Shortest secret that Queue-it's connectors share with a room; those of Queue-it have 72.
pub(crate) const KNOWN_USER_SECRET_CHARS_MIN: usize = 16;
/// Longest such secret, sealed.
pub(crate) const KNOWN_USER_SECRET_CHARS_MAX: usize = 512;
/// Most exemptions of a room.
pub(crate) const EXEMPT_MAX: usize = 64;
/// Most hosts of a room.
pub(crate) const HOSTS_MAX: usize = 64;
/// Longest protected prefix or upstream URL, in bytes.
pub(crate) const URL_BYTES_MAX: usize = 1_024;
