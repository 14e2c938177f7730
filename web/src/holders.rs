//! What the gate and the booking core tell each other about holders whose session is over.
//!
//! Both are extensions, of a request and of its answer: they exist inside of one process only.

/// The request comes without a running session, for what one hold or booking is about. Only its
/// owner may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolderOnly;

/// The answer to [`HolderOnly`] when whoever asks does not own the hold or booking, or there is
/// none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotHolder;
