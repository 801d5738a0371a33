//! Bodies of responses that clients have not read yet: a limited number of bytes is held for all callers.
//!
//! A client that doesn't read a response costs its memory. At the limit, the connection whose client has let its response wait for longest
//! is closed; if there is none, the next response is dropped.

use std::sync::Arc;

use hyper::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::room::{LOOK_AGAIN, Room};

/// The most bytes of large bodies that are held.
const MAX_UNSENT_BYTES: usize = 32 * 1024 * 1024;
/// Bodies up to this size are not counted: they are bounded by the number of connections.
const SMALL_BODY_BYTES: u64 = 64 * 1024;
/// The unit in which bodies are counted, in bytes.
const UNIT: usize = 1024;
/// Connections that are closed, one after another, for one response.
const MAX_CLOSED: usize = 20;

/// The room for bodies of responses.
#[derive(Debug, Clone)]
pub(super) struct Unsent {
    room: Room,
    units: Arc<Semaphore>,
}

/// The room of one body, released when this and all bytes that it counts are dropped. A small body takes none.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Option<Arc<OwnedSemaphorePermit>>);

impl Held {
    /// Counts bytes for as long as the connection has them, since the connection takes a body over long before the client reads it.
    pub(super) fn count(&self, bytes: Bytes) -> Bytes {
        match &self.0 {
            None => bytes,
            Some(units) => Bytes::from_owner(Counted { bytes, _units: Arc::clone(units) }),
        }
    }
}

struct Counted {
    bytes: Bytes,
    _units: Arc<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Unsent {
    pub(super) fn new(room: Room) -> Self {
        Self { room, units: Arc::new(Semaphore::new(MAX_UNSENT_BYTES / UNIT)) }
    }

    /// Takes room for a body of this many bytes; `None` if there is none.
    pub(super) async fn hold(&self, size: u64) -> Option<Held> {
        if size <= SMALL_BODY_BYTES {
            return Some(Held::default());
        }
        let bytes = usize::try_from(size).unwrap_or(usize::MAX).min(MAX_UNSENT_BYTES);
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        if let Ok(units) = Arc::clone(&self.units).try_acquire_many_owned(units) {
            return Some(Held(Some(Arc::new(units))));
        }
        let mut units = Box::pin(Arc::clone(&self.units).acquire_many_owned(units));
        for _ in 0..MAX_CLOSED {
            self.room.close_idlest_reader();
            if let Ok(Ok(units)) = tokio::time::timeout(LOOK_AGAIN, units.as_mut()).await {
                return Some(Held(Some(Arc::new(units))));
            }
        }
        None
    }
}
