//! [`Audited`]: what a change did, for the audit log.

use axum::response::Response;
use serde_json::Value;

/// What a request changed, for the audit log of whoever mounts the handler. It rides along as an
/// extension of the response, also of a refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    /// Such as the id of a show; the path of the request, when absent.
    pub target: Option<String>,
    /// How it was.
    pub before: Option<Value>,
    /// How it is.
    pub after: Option<Value>,
}

impl Audited {
    /// `response` with this on it.
    pub fn on(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}
