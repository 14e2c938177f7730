//! What `ropeline-gateway health` asks: whether the gateway of this machine can serve. For images
//! without any other program, whose health check has to come with the gateway.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::StreamOwned;

use crate::edge::certificate::PairFiles;
use crate::own_certificate;

/// Longest wait for the connection, and for each read of the answer. The gateway itself takes a
/// second at most.
const WAIT_MAX: Duration = Duration::from_secs(3);
/// As much of the answer as is read: its head, and a problem document.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// The address at which programs of this machine reach a listener.
pub fn from_here(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Asks the operators' listener at `address` whether its gateway can serve; an error says what is
/// missing.
///
/// It speaks TLS with the certificate of `tls`, if there is one.
pub fn ask(address: SocketAddr, tls: Option<&PairFiles>) -> Result<()> {
    let address = from_here(address);
    let answer = answer(address, tls).with_context(|| format!("{address} does not answer"))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match head.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some("503") => bail!("not ready: {body}"),
        _ => bail!("{address} is no operators' listener"),
    }
}

fn answer(address: SocketAddr, tls: Option<&PairFiles>) -> Result<String> {
    let stream = TcpStream::connect_timeout(&address, WAIT_MAX)?;
    stream.set_read_timeout(Some(WAIT_MAX))?;
    stream.set_write_timeout(Some(WAIT_MAX))?;
    match tls {
        None => asked(stream, address),
        Some(files) => {
            let connection = own_certificate::connection(files, address.ip())?;
            asked(StreamOwned::new(connection, stream), address)
        }
    }
}

fn asked(mut stream: impl Read + Write, address: SocketAddr) -> Result<String> {
    let question = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What `ask` says of a listener that answers this.
    fn told(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut asked = Vec::new();
            // What is left unread would reset the connection.
            while !asked.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                asked.extend(byte);
            }
            assert!(asked.starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let told =
            ask(address, None).map_or_else(|error| error.to_string(), |()| "ready".to_owned());
        server.join().unwrap();
        told
    }

    #[test]
    fn a_gateway_is_as_healthy_as_it_is_ready() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(told(good), "ready");
        let bad = "HTTP/1.1 503 Service Unavailable\r\n\r\n{\"code\":\"line-unavailable\"}";
        assert_eq!(told(bad), "not ready: {\"code\":\"line-unavailable\"}");
        for other in [
            "HTTP/1.1 404 Not Found\r\n\r\n",
            "220 mail.example ESMTP\r\n",
            "",
        ] {
            let told = told(other);
            assert!(told.contains("no operators' listener"), "{other}: {told}");
        }
    }

    #[test]
    fn nobody_there_is_not_healthy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let error = ask(address, None).unwrap_err().to_string();
        assert!(error.contains("does not answer"), "{error}");
    }

    #[test]
    fn every_interface_is_reached_at_the_loopback_interface() {
        for (listens, reached) in [
            ("0.0.0.0:8081", "127.0.0.1:8081"),
            ("[::]:8081", "[::1]:8081"),
            ("10.0.0.5:8081", "10.0.0.5:8081"),
        ] {
            let (listens, reached) = (listens.parse().unwrap(), reached.parse().unwrap());
            assert_eq!(from_here(listens), reached);
        }
    }
}
