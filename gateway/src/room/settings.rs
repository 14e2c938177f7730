//! Which settings of a room make sense.
