//! How far the work is.

use std::io;

/// Hears how many bytes of the dump have passed; an error from it ends the work.
pub type Progress<'a> = &'a mut dyn FnMut(u64) -> io::Result<()>;
