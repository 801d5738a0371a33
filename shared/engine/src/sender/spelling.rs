//! Names of headers as they are written (B6).
//!
//! HTTP takes no heed of their case, but some receivers do. hyper keeps names in lower case; their spelling travels beside them in an
//! extension of the request that hyper alone can make, of a message that it parses with `preserve_header_case`. So hyper is given one to
//! parse: a request with these names, in memory.

use std::{
    convert::Infallible,
    future::ready,
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
    server::conn::http1,
    service::service_fn,
};

/// The extensions of a request whose headers are to be written like this.
pub(super) async fn spelled(names: impl Iterator<Item = &str>) -> Extensions {
    let mut head = "GET / HTTP/1.1\r\nHost: a\r\n".to_owned();
    for name in names {
        head.push_str(name);
        head.push_str(": a\r\n");
    }
    head.push_str("\r\n");
    let parsed = Arc::new(Mutex::new(Extensions::new()));
    let service = service_fn(|mut request: Request<Incoming>| {
        let extensions = std::mem::take(request.extensions_mut());
        *parsed.lock().unwrap_or_else(PoisonError::into_inner) = extensions;
        ready(Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())))
    });
    let parsing = http1::Builder::new().preserve_header_case(true).keep_alive(false).serve_connection(Message(head), service);
    // Names that can't be parsed are written as most clients write them.
    let _ = parsing.await;
    std::mem::take(&mut *parsed.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A message that is read to its end; everything written to it is dropped.
struct Message(String);

impl Read for Message {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let length = self.0.len().min(buffer.remaining());
        buffer.put_slice(&self.0.as_bytes()[..length]);
        self.0.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl Write for Message {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
