//! The ways to a fan: mail, text messages, Web Push, behind one trait.
//!
//! A notice goes over one channel. When that refuses it, or keeps it for too long, the next one of
//! its route gets it; the last one keeps trying.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `told` | what is told, to whom, and the trait of channels. Pure |
//! | `route` | which channels a notice is tried on, in which order. Pure |
//! | `outage` | how long a channel that is down is left alone |
//! | `phone` | telephone numbers. Pure |
//! | `settings` | where text messages go. Pure |
//! | `sms` | text messages, over the HTTP interface of a provider or to files |
//! | `push` | Web Push: encryption, signatures, the push services |

mod outage;
pub(crate) mod phone;
pub(crate) mod push;
pub(crate) mod route;
pub(crate) mod settings;
pub(crate) mod sms;
pub(crate) mod told;

pub(crate) use outage::Outages;
