//! [`Audited`]: the effect of a change, for the audit log.

use axum::response::Response;
use serde_json::Value;

/// The effect of a request, for the audit log of the listener that mounts the handler. Attached to
/// the response as an extension, to refusals too.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// The changed thing, such as the id of a show; the path of the request if `None`.
    pub target: Option<String>,
    /// The state before.
    pub before: Option<Value>,
    /// The state after.
    pub after: Option<Value>,
}

impl Audited {
    /// Attaches this to `response`.
    pub fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}
