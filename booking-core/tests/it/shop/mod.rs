//! The shop's pages through the real router, as a browser without JavaScript uses them, with the
//! payment simulator over HTTP.

pub(crate) mod browser;
mod challenged;
mod flow;
mod rules;
mod test_shop;
