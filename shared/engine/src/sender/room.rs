//! Room for long responses: the bytes of such responses that a process holds at once, in all and for each owner.
//!
//! A response up to [`FREE_BYTES`] needs no room. A longer one takes all that it may need before more of it is read, and keeps it until
//! its [`Response`](tracking_core::answer::Response) is dropped: no holder of room waits for more.
//!
//! **Room goes to the owner that has the least**, so that one with many long responses waits behind its own. While a response waits for
//! room that another owner holds, one that has been read for [`Patience::held`] gives its room up: a receiver that trickles costs others a
//! bounded time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout_at},
};

/// The beginning of a response that needs no room.
pub(super) const FREE_BYTES: usize = 16 * 1_024;
/// The most bytes of long responses in all.
const MAX_LONG_BYTES: usize = 24 << 20;
/// The most bytes of one owner's long responses.
const MAX_LONG_BYTES_OF_OWNER: usize = 4 << 20;
/// The wait before the next look for a response that could give its room up.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// The times of a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Patience {
    /// The longest wait for room.
    pub(super) wait: Duration,
    /// The time for reading a long response while others wait for room.
    pub(super) held: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { wait: Duration::from_secs(10), held: Duration::from_secs(5) }
    }
}

/// The room of a process.
#[derive(Debug, Clone, Default)]
pub(super) struct Room {
    patience: Patience,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    held: BTreeMap<u64, Holder>,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Holder {
    owner: Arc<str>,
    bytes: usize,
    since: Instant,
    give_up: Arc<Notify>,
    is_asked: bool,
}

#[derive(Debug)]
struct Waiting {
    owner: Arc<str>,
    bytes: usize,
    ready: oneshot::Sender<Share>,
}

/// A part of the room, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    id: u64,
    room: Room,
    /// Notified when the response is to be given up.
    pub(super) give_up: Arc<Notify>,
}

impl Room {
    #[cfg(test)]
    pub(super) fn with(patience: Patience) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Waits for room for so many bytes of an owner's response. `None`: there was none in time.
    pub(super) async fn take(&self, owner: &Arc<str>, bytes: usize) -> Option<Share> {
        let deadline = Instant::now() + self.patience.wait;
        let (id, mut ready) = self.wait(owner, bytes);
        let left = Leaving { id, room: self };
        loop {
            let next_look = (Instant::now() + LOOK_AGAIN).min(deadline);
            match timeout_at(next_look, &mut ready).await {
                Ok(share) => return share.ok(),
                Err(_) if Instant::now() >= deadline => {
                    drop(left);
                    // It may have come just now.
                    return ready.try_recv().ok();
                }
                Err(_) => self.lock().make_room(id, self.patience.held),
            }
        }
    }

    fn wait(&self, owner: &Arc<str>, bytes: usize) -> (u64, oneshot::Receiver<Share>) {
        let (sender, ready) = oneshot::channel();
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.waiting.insert(id, Waiting { owner: Arc::clone(owner), bytes, ready: sender });
        let unwanted = self.grant(&mut state);
        drop(state);
        drop(unwanted);
        (id, ready)
    }

    /// Gives room to waiting responses, first to that of the owner with the least. Returns the shares that nobody waits for any more.
    fn grant(&self, state: &mut State) -> Vec<Share> {
        let mut unwanted = Vec::new();
        while let Some(id) = state.next_waiting() {
            let Some(Waiting { owner, bytes, ready }) = state.waiting.remove(&id) else { break };
            let give_up = Arc::new(Notify::new());
            let holder = Holder { owner, bytes, since: Instant::now(), give_up: Arc::clone(&give_up), is_asked: false };
            state.held.insert(id, holder);
            unwanted.extend(ready.send(Share { id, room: self.clone(), give_up }).err());
        }
        unwanted
    }

    /// The bytes of all shares that are given out.
    #[cfg(test)]
    pub(super) fn bytes_held(&self) -> usize {
        self.lock().held.values().map(|holder| holder.bytes).sum()
    }

    /// The number of waiting responses.
    #[cfg(test)]
    pub(super) fn count_waiting(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bytes_by_owner(&self) -> HashMap<&str, usize> {
        let mut bytes = HashMap::new();
        for holder in self.held.values() {
            *bytes.entry(&*holder.owner).or_default() += holder.bytes;
        }
        bytes
    }

    /// The response that gets room next, if there is enough.
    fn next_waiting(&self) -> Option<u64> {
        let of_owner = self.bytes_by_owner();
        let held = |owner: &str| of_owner.get(owner).copied().unwrap_or(0);
        let fitting = self.waiting.iter().filter(|(_, waiting)| held(&waiting.owner) + waiting.bytes <= MAX_LONG_BYTES_OF_OWNER);
        let (id, waiting) = fitting.min_by_key(|(_, waiting)| held(&waiting.owner))?;
        (of_owner.values().sum::<usize>() + waiting.bytes <= MAX_LONG_BYTES).then_some(*id)
    }

    /// Asks the oldest response of the owner with the most to give its room up, if this one waits for room that others hold.
    fn make_room(&mut self, waiting: u64, longest: Duration) {
        let of_owner = self.bytes_by_owner();
        let held = |owner: &str| of_owner.get(owner).copied().unwrap_or(0);
        let Some(waiting) = self.waiting.get(&waiting) else { return };
        if held(&waiting.owner) + waiting.bytes > MAX_LONG_BYTES_OF_OWNER {
            return;
        }
        let old = self.held.iter().filter(|(_, holder)| {
            !holder.is_asked && holder.since.elapsed() >= longest && held(&holder.owner) > held(&waiting.owner)
        });
        // The oldest among equals.
        let first = old.min_by_key(|(id, holder)| (std::cmp::Reverse(held(&holder.owner)), **id)).map(|(id, _)| *id);
        if let Some(holder) = first.and_then(|id| self.held.get_mut(&id)) {
            holder.is_asked = true;
            holder.give_up.notify_one();
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.room.lock();
        state.held.remove(&self.id);
        let unwanted = self.room.grant(&mut state);
        drop(state);
        drop(unwanted);
    }
}

/// Removes a response that stops waiting from the queue when this is dropped.
struct Leaving<'a> {
    id: u64,
    room: &'a Room,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        self.room.lock().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const MIB: usize = 1 << 20;

    fn name(owner: &str) -> Arc<str> {
        owner.into()
    }

    /// Takes all that one owner may have.
    async fn full(room: &Room, owner: &str) -> Vec<Share> {
        let mut shares = Vec::new();
        for _ in 0..4 {
            shares.push(room.take(&name(owner), MIB).await.unwrap());
        }
        shares
    }

    /// Nobody waits for long, and any response may be asked for its room.
    const IMPATIENT: Patience = Patience { wait: Duration::from_millis(1), held: Duration::ZERO };

    #[tokio::test]
    async fn f5_an_owner_waits_for_its_own_long_responses_and_no_other_does() {
        let room = Room::default();
        let mut shares = full(&room, "aff_1").await;
        let own = name("aff_1");
        let mut waiting = Box::pin(room.take(&own, MIB));
        assert!(waiting.as_mut().now_or_never().is_none());
        assert!(room.take(&name("aff_2"), MIB).now_or_never().flatten().is_some());
        drop(shares.pop());
        assert!(waiting.await.is_some(), "what is given back goes to who waits");
    }

    #[tokio::test]
    async fn f5_who_waits_too_long_for_room_gets_none_and_leaves_none_taken() {
        let room = Room::with(IMPATIENT);
        let shares = full(&room, "aff_1").await;
        assert!(room.take(&name("aff_1"), MIB).await.is_none());
        assert!(shares.iter().all(|share| share.give_up.notified().now_or_never().is_none()), "it is the owner's own share");
        drop(shares);
        assert_eq!((room.bytes_held(), room.count_waiting()), (0, 0));
        // Nor does one that is no longer waited for.
        let shares = full(&room, "aff_1").await;
        let own = name("aff_1");
        let mut waiting = Box::pin(room.take(&own, MIB));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(waiting);
        drop(shares);
        assert_eq!((room.bytes_held(), room.count_waiting()), (0, 0));
    }

    #[tokio::test]
    async fn f5_all_room_is_bounded_and_the_owner_with_the_least_is_next() {
        let room = Room::default();
        let mut shares = Vec::new();
        for owner in 1..=6 {
            shares.extend(full(&room, &format!("aff_{owner}")).await);
        }
        let owners = [name("aff_7"), name("aff_7"), name("aff_8")];
        let mut waiting: Vec<_> = owners.iter().map(|owner| Box::pin(room.take(owner, MIB))).collect();
        assert!(waiting.iter_mut().all(|one| one.as_mut().now_or_never().is_none()), "all room is taken");
        let mut got = Vec::new();
        for _ in 0..2 {
            drop(shares.pop());
            let ready = waiting.iter_mut().map(|one| one.as_mut().now_or_never().flatten()).collect::<Vec<_>>();
            let which: Vec<usize> = (0..).zip(&ready).filter(|(_, share)| share.is_some()).map(|(which, _)| which).collect();
            got.extend(ready.into_iter().flatten());
            for place in which.iter().rev() {
                drop(waiting.remove(*place));
            }
            assert_eq!(which, [usize::from(got.len() != 1)], "of aff_7, which came first, then of aff_8");
        }
        assert_eq!(waiting.len(), 1, "aff_7 has a share, and its second waits");
    }

    #[tokio::test]
    async fn f5_a_response_that_takes_its_time_gives_its_room_up_for_others() {
        let room = Room::with(IMPATIENT);
        let mut shares = Vec::new();
        for owner in 1..=6 {
            shares.extend(full(&room, &format!("aff_{owner}")).await);
        }
        drop(shares.pop());
        // The owner with the least has 3; the oldest response of the first owner that has 4 is asked.
        let (six, honest) = (name("aff_6"), name("aff_7"));
        let _last = room.take(&six, MIB).await.unwrap();
        let (id, _ready) = room.wait(&honest, MIB);
        room.lock().make_room(id, Duration::from_mins(1));
        assert!(shares.iter().all(|share| share.give_up.notified().now_or_never().is_none()), "none is old enough");
        for expected in [0, 1] {
            room.lock().make_room(id, Duration::ZERO);
            let asked: Vec<bool> = shares.iter().map(|share| share.give_up.notified().now_or_never().is_some()).collect();
            assert_eq!(asked.iter().position(|asked| *asked), Some(expected));
            assert_eq!(asked.iter().filter(|asked| **asked).count(), 1);
        }
    }
}
