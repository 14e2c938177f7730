//! Web Push: a message to a browser, also while no page of ours is open.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `encrypt` | messages encrypted for one browser: RFC 8291. Pure |
//! | `vapid` | who we are, signed for a push service: RFC 8292. Pure |
//! | `subscription` | what a browser gives us, checked. Pure |
//! | `sender` | the push services |

mod encrypt;
mod sender;
pub(crate) mod subscription;
mod vapid;

pub(crate) use sender::PushSender;
pub(crate) use vapid::VapidKey;
