//! Pages of the booking core.
