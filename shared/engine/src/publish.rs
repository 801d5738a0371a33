//! Events of ours that the bus refused, and their way back to it.

use jiff::{SignedDuration, Timestamp};

use crate::{
    backend::{Lane, Message, Published},
    rows::{self, Task},
};

/// The longest time for which an event is offered to a bus that refuses it.
const OFFERED: SignedDuration = SignedDuration::from_hours(24 * 7);
/// The longest time between two hand-outs of a message that is sent again.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(15);

/// The pause before a message is handed out that was sent again so many times before: a second, and then twice as long each time.
pub(crate) fn pause(tries: u32) -> SignedDuration {
    SignedDuration::from_secs(1 << tries.min(10)).min(LONGEST_PAUSE)
}

impl Published {
    /// The message that offers a refused event again: after a second, then after twice as long each time. `None`: it was offered for seven
    /// days, and is left for people now.
    pub fn offered_again(&self, now: Timestamp) -> Option<Message> {
        let since = self.refused_since.unwrap_or(now);
        if now >= since + OFFERED {
            return None;
        }
        let event = Self { refusals: self.refusals + 1, refused_since: Some(since), ..self.clone() };
        let body = event.as_message();
        Some(Message { lane: Lane::Retry, group: "publish".to_owned(), not_before: Some(now + pause(self.refusals)), body })
    }

    /// The body of a message that offers it to the bus.
    pub fn as_message(&self) -> String {
        rows::write_task(&Task::Publish { events: vec![self.clone()] })
    }
}
