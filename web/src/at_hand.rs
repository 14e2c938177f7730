//! Answers that an upstream in this process has ready.
//!
//! The gate asks for one before it hands a request to the upstream's router. What many visitors
//! read at the same time is then answered without the layers of the router, whose rules hold for
//! it all the same.

use axum::response::Response;
use contract::principal::Principal;
use http::HeaderMap;

use crate::limited::LimitedAs;

/// A GET request that the gate lets through.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// The path, as it was sent.
    pub path: &'a str,
    /// The headers, as the client sent them: what they say about passes is not to be believed.
    pub headers: &'a HeaderMap,
    /// The passes that the gateway vouches for.
    pub principals: &'a [Principal],
    /// The address that the request is counted for.
    pub limited_as: Option<LimitedAs>,
}

/// Has answers ready.
pub trait AtHand: Send + Sync + 'static {
    /// The answer, counted and limited as the router would; `None` where the router has to answer,
    /// and then nothing was counted.
    fn answer(&self, reading: &Reading<'_>) -> Option<Response>;
}
