//! One standard queue: the visible, delayed and in-flight messages, by times that the test gives. Every step costs the logarithm of the
//! number of messages.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

/// Most messages in flight at once.
const MOST_IN_FLIGHT: usize = 120_000;
/// The time for which a message is kept.
const RETENTION: SignedDuration = SignedDuration::from_hours(14 * 24);
/// The time for which a message is hidden after a receive, unless that is changed.
const VISIBILITY: SignedDuration = SignedDuration::from_secs(900);
/// The longest time for which a received message can be hidden, from its receive.
const LONGEST: SignedDuration = SignedDuration::from_secs(43_200);

/// The number of a queue's messages by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Waiting to be handed out.
    pub visible: usize,
    /// Handed out and hidden.
    pub in_flight: usize,
    /// Sent with a delay that has not passed.
    pub delayed: usize,
}

/// A message in a queue.
#[derive(Debug, Clone)]
pub(super) struct Message {
    pub(super) body: String,
    pub(super) group: Option<String>,
    /// Its attributes, in the protocol's form.
    pub(super) attributes: BTreeMap<String, Value>,
    pub(super) sent: Timestamp,
    pub(super) first_received: Option<Timestamp>,
    pub(super) received: Option<Timestamp>,
    pub(super) receives: u32,
    place: Place,
    /// The time from which it is visible.
    until: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Visible,
    Flying,
    Delayed,
}

impl Message {
    pub(super) fn new(body: String, group: Option<String>, now: Timestamp, delay: SignedDuration) -> Self {
        let place = if delay.is_zero() { Place::Visible } else { Place::Delayed };
        Self {
            body,
            group,
            attributes: BTreeMap::new(),
            sent: now,
            first_received: None,
            received: None,
            receives: 0,
            place,
            until: now + delay,
        }
    }
}

/// The reasons for which the visibility of a received message can't be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fixed {
    /// There is no such message, or it was handed out again since.
    Gone,
    /// The message is not in flight.
    NotInFlight,
    /// The message would be hidden for more than twelve hours from its receive.
    TooLong,
}

/// A queue. Messages are known by their serial numbers, which grow in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Messages {
    all: BTreeMap<u64, Message>,
    visible: BTreeSet<(Timestamp, u64)>,
    flying: BTreeSet<(Timestamp, u64)>,
    delayed: BTreeSet<(Timestamp, u64)>,
}

impl Messages {
    pub(super) fn send(&mut self, serial: u64, message: Message) {
        self.place(message.place).insert((message.until, serial));
        self.all.insert(serial, message);
    }

    /// Adds a message that came from another queue: visible at once, with no receives.
    pub(super) fn add_dead_letter(&mut self, serial: u64, message: Message, now: Timestamp) {
        self.send(serial, Message { place: Place::Visible, until: now, receives: 0, ..message });
    }

    /// Hands out the next message; after `most_receives` hand-outs it goes to the dead letters instead.
    pub(super) fn receive(&mut self, now: Timestamp, most_receives: Option<u32>) -> Option<(u64, Handed)> {
        self.advance(now);
        if self.flying.len() >= MOST_IN_FLIGHT {
            return None;
        }
        let (_, serial) = *self.visible.first()?;
        if most_receives.is_some_and(|most| self.all[&serial].receives >= most) {
            let message = self.remove(serial).expect("who is visible is here");
            return Some((serial, Handed::GivenUp(message)));
        }
        self.move_to(serial, Place::Flying, now + VISIBILITY);
        let message = self.all.get_mut(&serial).expect("who is visible is here");
        message.receives += 1;
        message.received = Some(now);
        message.first_received.get_or_insert(now);
        Some((serial, Handed::Out(message.clone())))
    }

    /// Deletes a message, if this hand-out is its last; an earlier hand-out has no effect and no error.
    pub(super) fn delete(&mut self, serial: u64, receives: u32) {
        if self.all.get(&serial).is_some_and(|message| message.receives == receives) {
            self.remove(serial);
        }
    }

    /// Changes the end of a hand-out to this time from now.
    pub(super) fn hide(&mut self, serial: u64, receives: u32, time: SignedDuration, now: Timestamp) -> Result<(), Fixed> {
        self.advance(now);
        let message = self.all.get(&serial).filter(|message| message.receives == receives).ok_or(Fixed::Gone)?;
        if message.place != Place::Flying {
            return Err(Fixed::NotInFlight);
        }
        if message.received.is_some_and(|received| now + time > received + LONGEST) {
            return Err(Fixed::TooLong);
        }
        let place = if time.is_zero() { Place::Visible } else { Place::Flying };
        self.move_to(serial, place, now + time);
        Ok(())
    }

    pub(super) fn depth(&mut self, now: Timestamp) -> Depth {
        self.advance(now);
        Depth { visible: self.visible.len(), in_flight: self.flying.len(), delayed: self.delayed.len() }
    }

    /// Returns the time of the next possible hand-out: a past time if there is one now.
    pub(super) fn next_visible(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.advance(now);
        let first = |places: &BTreeSet<(Timestamp, u64)>| places.first().map(|(until, _)| *until);
        first(&self.visible).or_else(|| [first(&self.flying), first(&self.delayed)].into_iter().flatten().min())
    }

    /// Returns all messages in the order of sending.
    pub(super) fn messages(&mut self, now: Timestamp) -> impl Iterator<Item = (u64, &Message)> {
        self.advance(now);
        self.all.iter().map(|(serial, message)| (*serial, message))
    }

    /// Makes messages visible whose time has come, and drops those that are too old.
    fn advance(&mut self, now: Timestamp) {
        while let Some((serial, _)) = self.all.first_key_value().filter(|(_, message)| message.sent + RETENTION <= now) {
            self.remove(*serial);
        }
        for place in [Place::Flying, Place::Delayed] {
            while let Some((until, serial)) = self.place(place).first().copied().filter(|(until, _)| *until <= now) {
                self.move_to(serial, Place::Visible, until);
            }
        }
    }

    fn move_to(&mut self, serial: u64, place: Place, until: Timestamp) {
        let message = self.all.get_mut(&serial).expect("who is moved is here");
        let (old_place, old_until) = (message.place, message.until);
        (message.place, message.until) = (place, until);
        self.place(old_place).remove(&(old_until, serial));
        self.place(place).insert((until, serial));
    }

    fn remove(&mut self, serial: u64) -> Option<Message> {
        let message = self.all.remove(&serial)?;
        self.place(message.place).remove(&(message.until, serial));
        Some(message)
    }

    fn place(&mut self, place: Place) -> &mut BTreeSet<(Timestamp, u64)> {
        match place {
            Place::Visible => &mut self.visible,
            Place::Flying => &mut self.flying,
            Place::Delayed => &mut self.delayed,
        }
    }
}

/// The result of a receive.
#[derive(Debug)]
pub(super) enum Handed {
    Out(Message),
    /// The message was received too often: it goes to the dead letters.
    GivenUp(Message),
}
