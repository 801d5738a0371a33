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
/// One of this many of the kept places is asked for at a time, ahead of the connections that need them: a search looks at all connections.
const AHEAD_OF: usize = 8;
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
    /// The number of new connections for which others have been asked to close already.
    ahead: usize,
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
                    self.make_room();
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

    /// Asks a connection to close for a new one, unless one was asked ahead.
    fn make_room(&self) {
        let mut open = lock(&self.open);
        if open.ahead == 0 {
            open.ahead = (self.kept_free / AHEAD_OF).max(1);
            open.close_first(open.ahead, Activity::waits_since);
        }
        open.ahead -= 1;
    }

    /// Asks a connection of the caller with the most connections to close: the one whose client has been silent for longest; of equals the
    /// oldest.
    pub(super) fn close_idlest(&self) {
        lock(&self.open).close_first(1, Activity::waits_since);
    }

    /// Asks the connection to close whose client has left its response unread for longest; of equals the oldest.
    pub(super) fn close_idlest_reader(&self) {
        lock(&self.open).close_first(1, Activity::unread_since);
    }
}

impl Open {
    /// Asks so many connections to close, those of the caller with the most first, of these those that have waited longest.
    fn close_first(&self, count: usize, since: impl Fn(&Activity) -> Option<Instant>) {
        let mut counts: HashMap<u64, usize> = HashMap::new();
        for connection in self.connections.values() {
            *counts.entry(connection.caller.number()).or_default() += 1;
        }
        // A connection that has another caller since it was counted comes last.
        let rank = |connection: &Activity| {
            let of_caller = counts.get(&connection.caller.number()).copied().unwrap_or_default();
            Some((Reverse(of_caller), since(connection)?))
        };
        let mut waiting: Vec<_> =
            self.connections.iter().filter_map(|(id, connection)| Some((rank(connection)?, *id, connection))).collect();
        waiting.sort_unstable_by_key(|(rank, id, _)| (*rank, *id));
        waiting.iter().take(count).for_each(|(.., connection)| connection.ask_to_close());
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
        let closed = || connections.iter().map(|one| one.close.notified().now_or_never().is_some()).collect::<Vec<_>>();

        let one_more = Arc::new(Activity::new(patience, after(3)));
        let mut waiting = std::pin::pin!(room.place(&one_more));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert_eq!(closed(), [false, false, true], "one that works keeps its place");
        drop(places.pop());
        let place = waiting.now_or_never();
        assert!(place.is_some(), "it has the place that became free");
        room.close_idlest();
        assert_eq!(closed(), [false, true, false]);
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
        let closed: Vec<bool> = connections.iter().map(|one| one.close.notified().now_or_never().is_some()).collect();
        assert_eq!(closed, [false, true, false, false]);
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
    async fn f6_one_search_makes_room_for_several() {
        let start = Instant::now();
        let room = Room::new(128);
        let connections: Vec<_> = (0..128).map(|_| Arc::new(Activity::new(Patience::default(), start))).collect();
        let mut places = Vec::new();
        let mut asked = Vec::new();
        for (i, connection) in connections.iter().enumerate() {
            places.push(room.place(connection).now_or_never().expect("there is a place"));
            let now = connections.iter().filter(|one| one.close.notified().now_or_never().is_some()).count();
            if now > 0 {
                asked.push((i, now));
            }
        }
        let expected: Vec<_> = (112..128).step_by(2).map(|i| (i, 2)).collect();
        assert_eq!(asked, expected, "16 are kept free, and room is made for two at a time");
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
