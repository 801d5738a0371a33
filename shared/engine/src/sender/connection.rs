//! A connection that knows whether a receiver closed it before it saw a request.
//!
//! Servers close connections that are idle, often just as the next request leaves. On a connection that has carried a response before, an
//! end without a single byte of the next response is a sign of this: the request may go once more, over a new connection. Any other end of
//! a connection may have come after the request was worked, and is no such sign.

use std::{
    error::Error,
    fmt, io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tower_service::Service;

use super::head::{Oddities, ResponseHead};

/// The fault that a kept connection was closed before a byte of the response came.
#[derive(Debug)]
pub(super) struct Stale;

impl fmt::Display for Stale {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the receiver closed a kept connection before it answered")
    }
}

impl Error for Stale {}

/// Returns true if this is the fault behind an error.
pub(super) fn is_stale(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        let wrapped = inner.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if wrapped.is_some_and(<dyn Error + Send + Sync>::is::<Stale>) {
            return true;
        }
        cause = inner.source();
    }
    false
}

/// Makes connections that are watched.
#[derive(Debug, Clone)]
pub(super) struct Connector<C>(pub(super) C);

impl<C> Service<Uri> for Connector<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
{
    type Response = TokioIo<Watched<C::Response>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(TokioIo::new(Watched::new(connecting.await?))) })
    }
}

/// The state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No byte was read yet.
    Fresh,
    /// Bytes of a response were read since the last request began.
    Answered,
    /// A further request has begun since.
    AskedAgain,
}

/// A connection that is watched.
#[derive(Debug)]
pub(super) struct Watched<T> {
    inner: TokioIo<T>,
    state: State,
    head: ResponseHead,
}

impl<T> Watched<T> {
    fn new(connection: T) -> Self {
        Self { inner: TokioIo::new(connection), state: State::Fresh, head: ResponseHead::default() }
    }

    /// Everything odd about the head of the last response. The client hands it on with the response.
    fn oddities(&self) -> Oddities {
        self.head.oddities()
    }

    /// An error that ends the connection, converted to its meaning.
    fn ended(&self, error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let is_end = matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
        if is_end && self.state == State::AskedAgain { io::Error::other(Stale) } else { error }
    }

    /// Notes that bytes are being written that begin like this. What follows in the body of a request that was answered early is no request.
    ///
    /// # Errors
    /// They begin a request, and nobody knows where the last response on this connection ends.
    fn writing(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.state != State::Answered || !begins_request(bytes) {
            return Ok(());
        }
        if self.oddities().has_bad_length() {
            return Err(io::Error::other(Stale));
        }
        self.state = State::AskedAgain;
        self.head.restart();
        Ok(())
    }

    fn wrote(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        written.map_err(|error| self.ended(error))
    }
}

/// Returns true if a request begins like this. The head of one is written at once.
fn begins_request(bytes: &[u8]) -> bool {
    let methods = [&b"GET "[..], b"POST ", b"PUT ", b"PATCH ", b"DELETE "];
    methods.iter().any(|method| bytes.strip_prefix(*method).is_some_and(|rest| rest.starts_with(b"/")))
}

impl<T> AsyncRead for Watched<T>
where
    TokioIo<T>: AsyncRead + Unpin,
{
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.remaining();
        let read = ready!(Pin::new(&mut self.inner).poll_read(context, buffer));
        let count = before - buffer.remaining();
        Poll::Ready(match read {
            Ok(()) if count == 0 && before > 0 && self.state == State::AskedAgain => Err(io::Error::other(Stale)),
            Ok(()) => {
                if count > 0 {
                    self.state = State::Answered;
                    let filled = buffer.filled_mut();
                    let begin = filled.len() - count;
                    self.head.read(&mut filled[begin..]);
                    if self.head.is_too_long() {
                        return Poll::Ready(Err(io::Error::other("the response has no end of heads")));
                    }
                }
                Ok(())
            }
            Err(error) => Err(self.ended(error)),
        })
    }
}

impl<T> AsyncWrite for Watched<T>
where
    TokioIo<T>: AsyncWrite + Unpin,
{
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writing(bytes)?;
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writing(parts.iter().find(|part| !part.is_empty()).map_or(&[][..], |part| part))?;
        let written = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.wrote(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(context));
        Poll::Ready(flushed.map_err(|error| self.ended(error)))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl<T: Connection> Connection for Watched<T> {
    fn connected(&self) -> Connected {
        self.inner.inner().connected().extra(self.oddities())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;

    const REQUEST: &[u8] = b"POST /x HTTP/1.1\r\nHost: a\r\n\r\n";

    /// A connection that has carried a request and the beginning of its response, and its other end.
    async fn answered() -> (Watched<TokioIo<DuplexStream>>, DuplexStream) {
        let (ours, mut theirs) = duplex(1_024);
        let mut connection = Watched::new(TokioIo::new(ours));
        connection.write_all(REQUEST).await.unwrap();
        theirs.write_all(b"HTTP/1.1 413").await.unwrap();
        let mut bytes = [0; 12];
        connection.read_exact(&mut bytes).await.unwrap();
        (connection, theirs)
    }

    fn is_stale_end<T: std::fmt::Debug>(ended: io::Result<T>) -> bool {
        ended.is_err_and(|error| is_stale(&error))
    }

    #[tokio::test]
    async fn case_a10_a_kept_connection_that_ends_before_a_byte_of_the_response_is_stale() {
        let (mut connection, theirs) = answered().await;
        connection.write_all(REQUEST).await.unwrap();
        drop(theirs);
        assert!(is_stale_end(connection.read(&mut [0; 8]).await));
        let (mut connection, theirs) = answered().await;
        drop(theirs);
        assert!(is_stale_end(connection.write_all(REQUEST).await), "it was closed before a byte of the request left");
    }

    #[tokio::test]
    async fn case_a13_no_request_follows_a_response_whose_end_nobody_knows() {
        let (mut connection, mut theirs) = answered().await;
        let rest = b" No\r\nContent-Length: five\r\n\r\n";
        theirs.write_all(rest).await.unwrap();
        connection.read_exact(&mut vec![0; rest.len()]).await.unwrap();
        assert!(is_stale_end(connection.write_all(REQUEST).await));
        connection.write_all(b"the rest of a body").await.unwrap();
    }

    #[tokio::test]
    async fn case_a10_a_request_that_is_answered_early_is_not_sent_again() {
        let (mut connection, theirs) = answered().await;
        connection.write_all(b"the rest of its body").await.unwrap();
        drop(theirs);
        assert_eq!(connection.read(&mut [0; 8]).await.unwrap(), 0, "an end as any other");
        let (mut connection, theirs) = answered().await;
        drop(theirs);
        assert!(!is_stale_end(connection.write_all(b"the rest of its body").await));
    }
}
