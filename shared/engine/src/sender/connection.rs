//! A connection that knows whether a receiver closed it before it saw a request.
//!
//! Servers close connections that are idle, often just as the next request leaves. On a connection that has carried a response before,
//! an end without a single byte of the next response means so: the request may go once more, over a new connection. Whatever else ends a
//! connection may have happened after the request was worked, and is no such sign.

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

/// That a kept connection was closed before a byte of the response came.
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
        Box::pin(async move { Ok(TokioIo::new(Watched { inner: TokioIo::new(connecting.await?), state: State::Fresh })) })
    }
}

/// What happened last on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No byte was read yet.
    Fresh,
    /// Bytes of a response were read last.
    Answered,
    /// Bytes of a further request were written last.
    AskedAgain,
}

/// A connection that is watched.
#[derive(Debug)]
pub(super) struct Watched<T> {
    inner: TokioIo<T>,
    state: State,
}

impl<T> Watched<T> {
    /// An error that ends the connection, told as what it means.
    fn ended(&self, error: io::Error) -> io::Error {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        let is_end = matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof);
        if is_end && self.state == State::AskedAgain { io::Error::other(Stale) } else { error }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match ready!(written) {
            Ok(count) => {
                if count > 0 && self.state == State::Answered {
                    self.state = State::AskedAgain;
                }
                Poll::Ready(Ok(count))
            }
            Err(error) => Poll::Ready(Err(self.ended(error))),
        }
    }
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
        let written = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
        self.inner.inner().connected()
    }
}
