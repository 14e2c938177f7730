//! Where requests enter the gateway: sockets, addresses, paths and limits.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`answering`] | the service behind a listener, and who asks it |
//! | [`certificate`] | reading a certificate and its key |
//! | [`client_ip`] | the address a request comes from, past declared proxies |
//! | [`connections`] | limits on connections, in all and by address |
//! | [`cores`] | a runtime and a listener for each core |
//! | `extended_connect` | WebSockets over HTTP/2 |
//! | [`grpc`] | calls of gRPC, and the gateway's problems as their statuses |
//! | [`head`] | checks of a request's head that do not depend on its path |
//! | `http1`, `http2` | connections of each version |
//! | [`lazy_timer`] | a deadline that moves with every request |
//! | `opening`, `proxy_header` | PROXY header and TLS handshake, before HTTP |
//! | [`path`] | refuses ambiguous paths |
//! | `preface` | whether a connection begins with HTTP/2 |
//! | [`presented`] | the tokens and claims that a request carries, read once |
//! | [`rate_limit`] | limits per address and per place |
//! | [`refused_head`] | the answer to a head that cannot be read |
//! | [`reread`] | certificates of files that change |
//! | [`return_target`] | where a fan goes after the line |
//! | [`serve_config`] | limits of a listener |
//! | [`serve`] | serving a router on a listener, with limits per connection |
//! | `streams`, `standing`, `stream_body`, `write_watch` | the streams of HTTP/2, and clients that do not read |
//! | [`telemetry`] | metric names |
//! | [`tls`] | versions, sessions and certificates of TLS |
//! | [`to_tls`] | sends people to where TLS is spoken |
//! | `turned_away` | the response to connections over the limit |
//! | [`write_stall`] | closes connections whose peer stops reading |

pub mod answering;
pub mod asked_about;
pub mod certificate;
pub mod client_ip;
pub mod connections;
pub mod cores;
mod extended_connect;
pub mod grpc;
pub mod head;
mod head_watch;
mod http1;
mod http2;
pub mod lazy_timer;
mod opening;
pub mod path;
mod preface;
pub mod presented;
mod proxy_header;
pub mod rate_limit;
pub mod refused_head;
pub mod reread;
pub mod return_target;
mod rewound;
pub mod serve;
pub mod serve_config;
mod served;
mod socket;
pub mod sockets;
mod standing;
mod stream_body;
mod streams;
pub mod telemetry;
pub mod tls;
pub mod to_tls;
mod turned_away;
mod unread;
pub mod write_stall;
mod write_watch;
