//! Markers between the gate and the booking core for holders whose session has ended.
//!
//! They are extensions of a request and of its response, so they exist within one process only.

/// The request has no live session and is about one hold or booking. Only its owner may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderOnly;

/// The response to [`HolderOnly`] when the customer does not own the hold or booking, or it does
/// not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHolder;
