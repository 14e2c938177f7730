//! Whether a connection begins with HTTP/2.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// What a client of HTTP/2 begins with (RFC 9113, section 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first bytes of a connection, held back while they may be half a preface: the network may
/// bring it in pieces, and the parser of HTTP/1 refuses it when it has seen the first line.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    held: Vec<u8>,
    is_known: bool,
}

impl Beginning {
    /// Whether the connection is known to begin with the preface, or with something else.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// Reads into `buf` as `inner` does, but no half of a preface.
    pub(super) fn poll_read<T: AsyncRead + Unpin>(
        &mut self,
        inner: &mut T,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.held.is_empty() {
            ready!(Pin::new(&mut *inner).poll_read(cx, buf))?;
            let first = &buf.filled()[before..];
            // A buffer that is too small for the rest is none of the parser's.
            if !is_half(first) || buf.remaining() < PREFACE.len() {
                self.is_known = true;
                return Poll::Ready(Ok(()));
            }
            self.held.extend_from_slice(first);
            buf.set_filled(before);
        }
        while is_half(&self.held) {
            let mut missing = [0; PREFACE.len()];
            let mut more = ReadBuf::new(&mut missing[self.held.len()..]);
            ready!(Pin::new(&mut *inner).poll_read(cx, &mut more))?;
            if more.filled().is_empty() {
                break;
            }
            self.held.extend_from_slice(more.filled());
        }
        self.is_known = true;
        buf.put_slice(&std::mem::take(&mut self.held));
        Poll::Ready(Ok(()))
    }
}

/// Whether `bytes` are the beginning of a preface, and not all of it.
fn is_half(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.len() < PREFACE.len() && PREFACE.starts_with(bytes)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::poll;
    use tokio::io::AsyncWriteExt;

    use super::*;

    /// What is read first of a connection that sends these pieces.
    async fn first(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut near, mut far) = tokio::io::duplex(1024);
        let mut beginning = Beginning::default();
        let mut bytes = [0; 512];
        let mut buf = ReadBuf::new(&mut bytes);
        buf.put_slice(b"before");
        let last = pieces.len() - 1;
        for piece in &pieces[..last] {
            far.write_all(piece).await.unwrap();
            let reading = poll_fn(|cx| beginning.poll_read(&mut near, cx, &mut buf));
            assert!(poll!(reading).is_pending(), "{piece:?}");
            assert_eq!(buf.filled(), b"before");
        }
        far.write_all(pieces[last]).await.unwrap();
        drop(far);
        let reading = poll_fn(|cx| beginning.poll_read(&mut near, cx, &mut buf));
        reading.await.unwrap();
        assert!(beginning.is_known());
        buf.filled().strip_prefix(b"before").unwrap().to_vec()
    }

    #[tokio::test]
    async fn a_preface_is_read_whole_wherever_it_is_cut() {
        for cut in 1..PREFACE.len() {
            let (one, two) = PREFACE.split_at(cut);
            assert_eq!(first(&[one, two]).await, PREFACE, "{cut}");
        }
        let bytes: Vec<_> = PREFACE.chunks(1).collect();
        assert_eq!(first(&bytes).await, PREFACE);
        let more = [PREFACE, b"more"].concat();
        assert_eq!(first(&[&more]).await, more);
        assert_eq!(first(&[&more[..20], &more[20..]]).await, PREFACE);
    }

    #[tokio::test]
    async fn what_is_none_is_read_as_soon_as_that_is_known() {
        for pieces in [
            &[&b"GET / HTTP/1.1\r\n"[..]][..],
            &[b"P", b"UT / HTTP/1.1\r\n"],
            &[b"PRI ", b"/ HTTP/1.1\r\n"],
            &[b"PRI * HTTP/2.0\r\n\r\n", b"XM"],
            // The client closes.
            &[b"PRI * HTTP/2.0"],
        ] {
            assert_eq!(first(pieces).await, pieces.concat());
        }
    }
}
