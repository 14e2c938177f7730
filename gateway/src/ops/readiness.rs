//! What a gateway needs to serve.

use futures_util::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

/// One thing that has to be well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Check {
    /// Such as `redis`, `database`, `clock`, `keys`, `mail`, `draining`.
    pub name: &'static str,
    /// What is wrong; nothing, when null.
    pub problem: Option<String>,
    /// What an operator should mend although this gateway can serve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// Whether this gateway can serve.
pub trait Readiness: Send + Sync + 'static {
    /// Whether it is shutting down, and balancers should send fans elsewhere.
    fn is_draining(&self) -> bool;

    /// The state of everything it needs.
    fn checks(&self) -> BoxFuture<'_, Vec<Check>>;
}
