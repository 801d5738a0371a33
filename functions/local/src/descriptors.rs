//! File descriptors: the soft limit is raised at the start, and the available ones are divided up.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The highest limit that is asked for.
const MOST: u64 = 65_536;
/// Descriptors of the store, the log and the runtime.
const RESERVE: usize = 32;
/// The most connections of clients at once.
const MAX_CONNECTIONS: usize = 512;
/// The most messages in work at once, each of which may send a request.
const MAX_SENDS: usize = 1_024;
/// The most messages in work at once whose receivers are slow.
const MAX_SLOW_SENDS: usize = 4_096;
/// The fewest of each that are allowed, whatever the limit.
const MIN: usize = 4;

/// Raises the soft limit to the hard one, and returns the limit from then on.
pub(crate) fn raise() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(MOST);
    let wanted = limit.maximum.unwrap_or(MOST).min(MOST);
    let now = if wanted > current {
        match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
            Ok(()) => wanted,
            Err(error) => {
                tracing::warn!(%error, current, wanted, "the limit of file descriptors can't be raised");
                current
            }
        }
    } else {
        current
    };
    usize::try_from(now.min(MOST)).unwrap_or(RESERVE)
}

/// The connections and sends at once that a number of descriptors allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Connections of clients.
    pub(crate) connections: usize,
    /// Messages in work, each with a connection or a lookup.
    pub(crate) sends: usize,
    /// Messages in work of receivers that are slow, likewise.
    pub(crate) slow_sends: usize,
}

impl Budget {
    /// Divides descriptors: a quarter for clients, half for sends, and an eighth for sends to slow receivers; the rest is for connections
    /// that are kept for the next request and for second addresses of receivers.
    pub(crate) fn of(descriptors: usize) -> Self {
        let free = descriptors.saturating_sub(RESERVE);
        Self {
            connections: (free / 4).clamp(MIN, MAX_CONNECTIONS),
            sends: (free / 2).clamp(MIN, MAX_SENDS),
            slow_sends: (free / 8).clamp(MIN, MAX_SLOW_SENDS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f6_descriptors_are_divided_up() {
        for (descriptors, connections, sends, slow_sends) in [
            (0, 4, 4, 4),
            (40, 4, 4, 4),
            (64, 8, 16, 4),
            (128, 24, 48, 12),
            (1_024, 248, 496, 124),
            (4_096, 512, 1_024, 508),
            (65_536, 512, 1_024, 4_096),
        ] {
            assert_eq!(Budget::of(descriptors), Budget { connections, sends, slow_sends }, "{descriptors}");
        }
    }
}
