//! Checks of the whole repository that no other tool makes: what files are called and how large
//! they are, who depends on whom, whether files need each other in a circle, and whether the
//! documents still say what is.
//!
//! Each check is a function from texts to complaints, so that a test can show it a text that it
//! has to complain about.

mod circles;
mod code;
mod crates;
mod documents;
mod paths;
mod repository;
mod watching;
