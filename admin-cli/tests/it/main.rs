//! Runs the built `ropeline` against a fake of the operators' API.

mod command;
mod gateway;
mod proofs;
mod rooms;
mod shows;
mod stand_in;
mod watching;
