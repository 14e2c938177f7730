//! What one request tells a remote upstream beside what every request does.

use http::HeaderMap;

/// Headers for the upstream, as an extension of the request. They are set after those of the same
/// names that the client sent have been removed.
#[derive(Clone, Debug)]
pub struct Told(pub HeaderMap);
