//! Tickets for the wallets of telephones: Apple's passes, and Google's links to save a ticket.
//!
//! Both are signed with keys of the settings and off without them. The barcode is the signed text
//! of the ticket's QR code, as everywhere. Nothing is sent to Apple or Google: a pass is a file,
//! and a link carries everything. So what is in a wallet does not change when a ticket is passed
//! on or cancelled; its code opens no door then.
//!
//! | Module | Subject |
//! | --- | --- |
//! | `settings` | the keys, and what is wrong with them. No I/O |
//! | `rsa_key` | a private key of the settings |
//! | `cms` | detached signatures (RFC 5652) |
//! | `apple` | Apple's passes. Pure |
//! | `google` | Google's links. Pure |
//! | `wallet_desk` | who gets which |

mod apple;
mod cms;
mod google;
mod rsa_key;
pub(crate) mod settings;
mod wallet_desk;

pub(crate) use wallet_desk::WalletTicket;
