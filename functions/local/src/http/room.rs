//! The open connections, and room for one more: the caller with the most connections loses the one on which it has been silent for longest.
//! Connections without a token count as one caller's.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::activity::Activity;

/// One of this many places is kept free, so that a new connection need not wait for the end of the one that makes room for it.
const FREE_OF: usize = 8;
/// The wait for room before the next search for a connection that could make it.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All connections of a server.
#[derive(Debug, Clone)]
pub(super) struct Room {
    slots: Arc<Semaphore>,
    /// The number of places that are kept free.
    kept_free: usize,
    open: Arc<Mutex<Open>>,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    connections: BTreeMap<u64, Arc<Activity>>,
}

/// A connection's place, released when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    open: Arc<Mutex<Open>>,
    _slot: OwnedSemaphorePermit,
}

impl Room {
    pub(super) fn new(connections: usize) -> Self {
        Self { slots: Arc::new(Semaphore::new(connections)), kept_free: connections / FREE_OF, open: Arc::default() }
    }

    /// Waits for room for one more connection, and asks the idlest one to close if there is little.
    pub(super) async fn place(&self, activity: &Arc<Activity>) -> Place {
        loop {
            if let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() {
                if self.slots.available_permits() < self.kept_free {
                    self.close_idlest();
                }
                return self.enter(activity, slot);
            }
            self.close_idlest();
            if let Ok(Ok(slot)) = tokio::time::timeout(LOOK_AGAIN, Arc::clone(&self.slots).acquire_owned()).await {
                return self.enter(activity, slot);
            }
        }
    }

    fn enter(&self, activity: &Arc<Activity>, slot: OwnedSemaphorePermit) -> Place {
        let mut open = lock(&self.open);
        let id = open.next;
        open.next += 1;
        open.connections.insert(id, Arc::clone(activity));
        Place { id, open: Arc::clone(&self.open), _slot: slot }
    }

    /// Asks a connection of the caller with the most connections to close: the one whose client has been silent for longest; of equals the
    /// oldest.
    pub(super) fn close_idlest(&self) {
        self.close_first(Activity::waits_since);
    }

    /// Asks the connection to close whose client has left its response unread for longest; of equals the oldest.
    pub(super) fn close_idlest_reader(&self) {
        self.close_first(Activity::unread_since);
    }

    fn close_first(&self, since: impl Fn(&Activity) -> Option<Instant>) {
        let open = lock(&self.open);
        let connections: Vec<_> = open.connections.values().map(|connection| (connection.caller.number(), connection)).collect();
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for (caller, _) in &connections {
            *counts.entry(*caller).or_default() += 1;
        }
        let waiting =
            connections.iter().filter_map(|(caller, connection)| Some((counts[caller], since(connection)?, connection)));
        if let Some((_, _, first)) = waiting.min_by_key(|(count, since, _)| (Reverse(*count), *since)) {
            first.ask_to_close();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.open).connections.remove(&self.id);
    }
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use tracking_core::caller::Caller;

    use super::*;
    use crate::http::activity::Patience;

    #[tokio::test]
    async fn f6_the_idlest_connection_makes_room() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let (room, patience) = (Room::new(3), Patience::default());
        let connections: Vec<_> = (0..3).map(|_| Arc::new(Activity::new(patience, start))).collect();
        let mut places = Vec::new();
        for connection in &connections {
            places.push(room.place(connection).await);
        }
        connections[0].begin_request(start);
        connections[1].received(1, after(2));
        connections[2].received(1, after(1));
        let told = || connections.iter().map(|one| one.close.notified().now_or_never().is_some()).collect::<Vec<_>>();

        let one_more = Arc::new(Activity::new(patience, after(3)));
        let mut waiting = std::pin::pin!(room.place(&one_more));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(told(), [false, false, true], "one that works keeps its place");
        drop(places.pop());
        let place = waiting.now_or_never();
        assert!(place.is_some(), "it has the place that became free");
        room.close_idlest();
        assert_eq!(told(), [false, true, false]);
    }

    #[tokio::test]
    async fn f6_the_caller_with_the_most_connections_makes_room() {
        let start = Instant::now();
        let (room, patience) = (Room::new(4), Patience::default());
        let connections: Vec<_> = (0..4).map(|_| Arc::new(Activity::new(patience, start))).collect();
        let affiliate = Caller::Affiliate("aff_1".parse().unwrap());
        let mut places = Vec::new();
        for (connection, caller) in connections.iter().zip([&Caller::Admin, &affiliate, &affiliate, &Caller::Admin]) {
            places.push(room.place(connection).await);
            connection.caller.set(caller);
        }
        connections[3].caller.set(&affiliate);
        // The admin's connection has been silent for longest.
        for (seconds, connection) in (1..).zip(&connections[1..]) {
            connection.received(1, start + Duration::from_secs(seconds));
        }
        room.close_idlest();
        let told: Vec<bool> = connections.iter().map(|one| one.close.notified().now_or_never().is_some()).collect();
        assert_eq!(told, [false, true, false, false]);
    }

    #[tokio::test]
    async fn f6_a_crowd_is_let_in_without_waiting_for_those_that_make_room() {
        let start = Instant::now();
        let room = Room::new(16);
        let connections: Vec<_> =
            (0..16).map(|i| Arc::new(Activity::new(Patience::default(), start + Duration::from_secs(i)))).collect();
        let mut places = Vec::new();
        for connection in &connections {
            places.push(room.place(connection).now_or_never().expect("there is a place"));
        }
        let asked = connections.iter().filter(|one| one.close.notified().now_or_never().is_some()).count();
        assert_eq!(asked, 2, "two places are to become free, each by a connection of its own");
    }

    #[tokio::test]
    async fn f6_nobody_who_works_is_closed() {
        let now = Instant::now();
        let room = Room::new(1);
        let busy = Arc::new(Activity::new(Patience::default(), now));
        let _place = room.place(&busy).await;
        busy.begin_request(now);
        let other = Arc::new(Activity::new(Patience::default(), now));
        assert!(room.place(&other).now_or_never().is_none());
        assert!(busy.close.notified().now_or_never().is_none());
    }
}
