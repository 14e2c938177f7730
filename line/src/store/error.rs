//! Why a store could not do what was asked.

use redis::RedisError;

/// Why a store could not do what was asked. Refusals are outcomes, not errors.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No connection; nothing was done.
    #[error("the line's store does not answer: {0}")]
    Unavailable(#[source] RedisError),
    /// No answer in time; it may or may not have been done.
    #[error("the line's store did not answer in time")]
    Timeout,
    /// The store does not have the room at this epoch: it lost its memory, or the name
    /// was used again for another room.
    #[error("the line's store does not have the room at this epoch")]
    NoRoom,
    /// The store answered something we cannot read.
    #[error("the line's store answered something unreadable: {0}")]
    Corrupt(String),
}

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;
