//! Receivers: their health, and the deliveries that wait for them.

use super::page;
use crate::{
    openapi::{about::About, examples, shape::id},
    problem::Kind,
};

const TAG: &str = "Receivers";

pub(crate) fn list() -> About {
    let text = "A receiver is a scheme, host and port that the rules of one owner send to. It is listed from its first failure on, and as long \
                as the log is kept after its last. An affiliate sees those of its own rules. Listed by their ids.";
    About::new("listReceivers", TAG, "List receivers", text).pages(id(""), examples::RECEIVER).answers(
        200,
        "A page of receivers",
        "ReceiverPage",
        page(examples::receiver()),
    )
}

pub(crate) fn read() -> About {
    About::new("readReceiver", TAG, "Read a receiver", "Its state, what waits for it, and when it is probed next.").answers(
        200,
        "The receiver",
        "Receiver",
        examples::receiver(),
    )
}

pub(crate) fn probe() -> About {
    let text = "One waiting delivery is sent at once, as a counted attempt; if it is answered, the others follow. The probes after it are \
                frequent again.";
    About::new("probeReceiver", TAG, "Probe a receiver that is down", text)
        .answers(200, "The receiver", "Receiver", examples::receiver())
        .gives(Kind::Conflict, "It is not open.")
}

pub(crate) fn reset() -> About {
    let text = "Deliveries are sent to it again: those that wait go out, the oldest first, two more for each answer. If it still fails, they \
                wait again.";
    About::new("resetReceiver", TAG, "Reset a receiver", text).answers(200, "The receiver", "Receiver", examples::receiver())
}
