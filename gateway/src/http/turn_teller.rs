//! The port to what tells fans when they are called.

use contract::contact::TurnRequest;
use contract::{PlaceId, RoomId};
use futures_util::future::BoxFuture;
use http::HeaderMap;
use web::ApiResult;

/// Tells fans when they are called.
pub trait TurnTeller: Send + Sync {
    /// Stores that the fan with this place wants to be told. `headers` tell the language.
    fn ask<'a>(
        &'a self,
        room: RoomId,
        place: PlaceId,
        wanted: TurnRequest,
        headers: &'a HeaderMap,
    ) -> BoxFuture<'a, ApiResult<()>>;

    /// What browsers subscribe to for push messages.
    fn push_key(&self) -> String;
}
