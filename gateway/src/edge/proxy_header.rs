//! The header of the PROXY protocol, versions 1 and 2, with which a proxy tells whose connection it
//! passes on (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ppp::{v1, v2};
use thiserror::Error;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Bytes that tell the versions apart.
const PREFIX_BYTES: usize = v2::PROTOCOL_PREFIX.len();
/// Bytes of version 2 before what its length counts.
const FIXED_BYTES: usize = 16;
/// Bytes of a header of version 1 with its line end.
const LINE_BYTES_MAX: usize = 107;
/// Bytes of a header of version 2: two addresses, and notes on the client's TLS.
const HEADER_BYTES_MAX: usize = 2048;

/// Why a connection has no header that can be believed.
#[derive(Debug, Error)]
pub(super) enum HeaderError {
    #[error("it broke off: {0}")]
    Broken(#[from] io::Error),
    #[error("it begins with something else")]
    Absent,
    #[error("its header has more than {HEADER_BYTES_MAX} bytes")]
    TooLong,
    #[error("its header of version 1 is malformed: {0}")]
    Line(#[from] v1::BinaryParseError),
    #[error("its header of version 2 is malformed: {0}")]
    Binary(#[from] v2::ParseError),
    #[error("its header is not of a TCP connection")]
    NotTcp,
}

/// Reads the header, and nothing beyond it. The client's address; `None` when the proxy speaks for
/// itself, as it does to check that the gateway is there.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Option<SocketAddr>, HeaderError> {
    let mut header = vec![0; PREFIX_BYTES];
    stream.read_exact(&mut header).await?;
    if header == v2::PROTOCOL_PREFIX {
        read_rest(stream, &mut header).await?;
        return of_binary(&header);
    }
    if header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        read_line(stream, &mut header).await?;
        return of_line(&header);
    }
    Err(HeaderError::Absent)
}

/// Reads a header of version 2 of which the prefix is there.
async fn read_rest(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), HeaderError> {
    header.resize(FIXED_BYTES, 0);
    stream.read_exact(&mut header[PREFIX_BYTES..]).await?;
    let rest = u16::from_be_bytes([header[FIXED_BYTES - 2], header[FIXED_BYTES - 1]]);
    let whole = FIXED_BYTES + usize::from(rest);
    if whole > HEADER_BYTES_MAX {
        return Err(HeaderError::TooLong);
    }
    header.resize(whole, 0);
    stream.read_exact(&mut header[FIXED_BYTES..]).await?;
    Ok(())
}

/// Reads a header of version 1 to its line end.
async fn read_line(stream: &mut TcpStream, header: &mut Vec<u8>) -> Result<(), HeaderError> {
    let mut ahead = [0; LINE_BYTES_MAX];
    while header.len() < LINE_BYTES_MAX {
        let free = LINE_BYTES_MAX - header.len();
        // Looked at first, because what follows the line is not ours to read.
        let seen = stream.peek(&mut ahead[..free]).await?;
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = ahead[..seen].iter().position(|byte| *byte == b'\n');
        let count = end.map_or(seen, |at| at + 1);
        let from = header.len();
        header.resize(from + count, 0);
        stream.read_exact(&mut header[from..]).await?;
        if end.is_some() {
            return Ok(());
        }
    }
    Err(HeaderError::TooLong)
}

/// Stands for clients whose address the proxy cannot tell. The specification has the address of the
/// connection used then; but that is the proxy's, which is believed more than its clients are.
const NOBODY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

fn of_line(header: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    Ok(match v1::Header::try_from(header)?.addresses {
        v1::Addresses::Unknown => Some(NOBODY),
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some((of.source_address, of.source_port).into()),
    })
}

fn of_binary(header: &[u8]) -> Result<Option<SocketAddr>, HeaderError> {
    let header = v2::Header::try_from(header)?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    if header.protocol == v2::Protocol::Datagram {
        return Err(HeaderError::NotTcp);
    }
    Ok(match header.addresses {
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => Some(NOBODY),
        v2::Addresses::IPv4(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::IPv6(of) => Some((of.source_address, of.source_port).into()),
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    /// What becomes of a connection that begins with these pieces, and what is left to read.
    async fn begun(pieces: &[&[u8]]) -> (Result<Option<SocketAddr>, HeaderError>, Vec<u8>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        client.set_nodelay(true).unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let sending = async {
            for piece in pieces {
                client.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            client.shutdown().await.unwrap();
        };
        let reading = async {
            let read = read(&mut stream).await;
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            (read, rest)
        };
        let both = async { tokio::join!(sending, reading).1 };
        tokio::time::timeout(Duration::from_secs(10), both)
            .await
            .unwrap()
    }

    /// A header of version 2 with this command, family and protocol, before `rest`.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    const V4: &[u8] = &[198, 51, 100, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 80];

    async fn address(header: &[u8]) -> String {
        let whole = [header, b"GET / HTTP/1.1\r\n"].concat();
        let (read, rest) = begun(&[&whole]).await;
        assert_eq!(rest, b"GET / HTTP/1.1\r\n", "{header:?}");
        match read.unwrap_or_else(|error| panic!("{header:?}: {error}")) {
            Some(address) => address.to_string(),
            None => "own".to_owned(),
        }
    }

    #[tokio::test]
    async fn both_versions_tell_the_client_and_nothing_beyond_the_header_is_read() {
        let mut v6 = vec![0x20, 1, 0x0d, 0xb8];
        v6.extend([0; 11]);
        v6.push(7);
        v6.extend([0; 16]);
        v6.extend([0x12, 0x67, 1, 187]);
        let noted = [V4, &[0x04, 0, 3, 1, 2, 3]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\n".to_vec(),
                "198.51.100.7:4711",
            ),
            (
                b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(),
                "[2001:db8::7]:4711",
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), "0.0.0.0:0"),
            (
                b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(),
                "0.0.0.0:0",
            ),
            (binary(1, 0x11, V4), "198.51.100.7:4711"),
            (binary(1, 0x11, &noted), "198.51.100.7:4711"),
            (binary(1, 0x21, &v6), "[2001:db8::7]:4711"),
            (binary(0, 0x00, &[]), "own"),
            (binary(0, 0x11, V4), "own"),
            (binary(1, 0x00, &[]), "0.0.0.0:0"),
            (binary(1, 0x31, &[7; 216]), "0.0.0.0:0"),
        ] {
            assert_eq!(address(&header).await, expected);
        }
    }

    #[tokio::test]
    async fn a_header_may_come_in_pieces() {
        let line = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 80\r\nrest";
        let binary = [&binary(1, 0x11, V4)[..], b"rest"].concat();
        for whole in [&line[..], &binary] {
            let pieces: Vec<&[u8]> = whole.chunks(1).collect();
            let (read, rest) = begun(&pieces).await;
            assert_eq!(read.unwrap(), Some("198.51.100.7:4711".parse().unwrap()));
            assert_eq!(rest, b"rest");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200], b"\r\n".to_vec()].concat();
        for hostile in [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
            b"PROXY".to_vec(),
            b"PROXY TCP4 1.2.3.4\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 99999 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 80\n".to_vec(),
            b"PROXY TCP4 ::1 ::2 1 80\r\n".to_vec(),
            b"PROXY UDP4 1.2.3.4 5.6.7.8 1 80\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 5.6.7.8 1 80 9\r\n".to_vec(),
            long,
            binary(2, 0x11, V4),
            binary(1, 0x12, V4),
            binary(1, 0x11, &V4[..11]),
            binary(1, 0x41, V4),
            binary(1, 0x11, &[V4, &[0; HEADER_BYTES_MAX]].concat()),
            v2::PROTOCOL_PREFIX.to_vec(),
            binary(1, 0x21, V4),
        ] {
            let (read, _) = begun(&[&hostile]).await;
            assert!(read.is_err(), "{hostile:?}: {read:?}");
        }
        let mut other_version = binary(1, 0x11, V4);
        other_version[12] = 0x31;
        assert!(begun(&[&other_version]).await.0.is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(rest in proptest::collection::vec(any::<u8>(), 0..64),
                                    command in 0u8..16, family in any::<u8>()) {
            let _ = of_binary(&binary(command, family, &rest));
            let _ = of_binary(&rest);
            let line = [b"PROXY ", &rest[..], b"\r\n"].concat();
            let _ = of_line(&line);
        }
    }
}
