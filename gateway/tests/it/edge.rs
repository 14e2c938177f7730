//! The edge: sockets and limits.
