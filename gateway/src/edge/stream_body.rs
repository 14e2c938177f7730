//! The answer on a stream of HTTP/2, handed on in parts so that it is seen whether the client takes
//! them.
//!
//! Hyper asks for the next part when the one before fits into the client's windows. The last part is
//! handed on without such a wait behind it, so it is one byte only where it would be large: what has
//! left us but not the connection is then never worth much, and a client that stops before the end
//! is seen too.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::standing::Standing;

/// Bytes of a part: what a frame may have unless the client allows larger ones.
const PART_BYTES: usize = 16 * 1024;
/// Bytes of a last part.
const LAST_BYTES: usize = 1024;

/// An answer that is watched.
pub(super) struct StreamBody {
    inner: Body,
    /// What was read of it and not handed on.
    rest: Bytes,
    standing: Option<Arc<Standing>>,
}

impl StreamBody {
    /// The answer on the stream that stands so.
    pub(super) fn new(inner: Body, standing: Option<Arc<Standing>>) -> Self {
        Self {
            inner,
            rest: Bytes::new(),
            standing,
        }
    }

    /// A part of what is to be handed on, and keeps the rest.
    fn part(&mut self, mut data: Bytes) -> Bytes {
        let size = if data.len() > PART_BYTES {
            PART_BYTES
        } else if data.len() > LAST_BYTES && self.inner.is_end_stream() {
            data.len() - 1
        } else {
            data.len()
        };
        let part = data.split_to(size);
        self.rest = data;
        part
    }

    fn poll_part(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if !self.rest.is_empty() {
            let data = std::mem::take(&mut self.rest);
            return Poll::Ready(Some(Ok(Frame::data(self.part(data)))));
        }
        Pin::new(&mut self.inner)
            .poll_frame(cx)
            .map_ok(|frame| match frame.into_data() {
                Ok(data) => Frame::data(self.part(data)),
                Err(other) => other,
            })
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if let Some(standing) = &this.standing {
            standing.taken();
        }
        let polled = this.poll_part(cx);
        if let (Poll::Ready(Some(Ok(_))), Some(standing)) = (&polled, &this.standing) {
            standing.hand_on();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.inner.size_hint();
        let kept = self.rest.len() as u64;
        let (lower, upper) = (hint.lower(), hint.upper());
        if let Some(upper) = upper {
            hint.set_upper(upper + kept);
        }
        hint.set_lower(lower + kept);
        hint
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(standing) = &self.standing {
            standing.taken();
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    /// The sizes of the parts of an answer with this content.
    async fn parts(body: Body) -> (Vec<usize>, usize) {
        let mut body = StreamBody::new(body, None);
        let (mut sizes, mut all) = (Vec::new(), 0);
        while !body.is_end_stream() {
            let Some(frame) = body.frame().await else {
                break;
            };
            let data = frame.unwrap().into_data().unwrap();
            all += data.len();
            sizes.push(data.len());
            if let Some(left) = body.size_hint().exact() {
                assert!(left == 0 || !body.is_end_stream());
            }
        }
        (sizes, all)
    }

    #[tokio::test]
    async fn answers_are_whole_and_large_ones_end_with_little() {
        for (size, expected) in [
            (0, &[][..]),
            (1, &[1][..]),
            (LAST_BYTES, &[LAST_BYTES]),
            (LAST_BYTES + 1, &[LAST_BYTES, 1]),
            (PART_BYTES, &[PART_BYTES - 1, 1]),
            (PART_BYTES + 5, &[PART_BYTES, 5]),
            (3 * PART_BYTES, &[PART_BYTES, PART_BYTES, PART_BYTES - 1, 1]),
        ] {
            let (sizes, all) = parts(Body::from(vec![b'x'; size])).await;
            assert_eq!((sizes.as_slice(), all), (expected, size));
        }
        // Nothing is kept back of a part that others may follow.
        let chunks = [4 * LAST_BYTES, 7].map(|size| Ok::<_, axum::Error>(vec![b'x'; size]));
        let streamed = Body::from_stream(futures_util::stream::iter(chunks));
        assert_eq!(parts(streamed).await.0, [4 * LAST_BYTES, 7]);
    }
}
