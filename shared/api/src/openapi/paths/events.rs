//! Events: the refused ones, and, on a local server, those that come in and go out.

use serde_json::json;

use super::page;
use crate::{
    openapi::{
        about::About,
        examples,
        shape::{id, named, whole},
    },
    problem::Kind,
};

const TAG: &str = "Events";

pub(crate) fn rejected() -> About {
    About::new("listRejectedEvents", TAG, "List rejected events", "Newest first, each as it was received, with all its faults.")
        .pages(id(""), examples::REJECTED)
        .answers(200, "A page of events", "RejectedPage", page(examples::rejected()))
        .admins()
}

pub(crate) fn resubmit() -> About {
    let text = "Takes the event again, or a mended one in its place. If it is still bad it stays.";
    About::new("resubmitEvent", TAG, "Take a rejected event again", text)
        .may_take("Resubmit", json!({"event": examples::event()}))
        .answers(202, "It is taken", "Resubmitted", json!({"accepted": 1}))
        .admins()
        .gives(Kind::BadRequest, "The event is still bad: all its faults.")
        .gives(Kind::Invalid, "The body has other fields than event.")
}

/// `POST /events` of a local server.
pub fn post() -> About {
    let text = "One envelope of the platform's bus, an array of them, or one a line. What is good of it is accepted. Local servers only.";
    About::new("postEvents", TAG, "Post events", text)
        .takes_any(&["application/json", "application/x-ndjson"], named("Events"), examples::envelope())
        .answers(202, "The number of accepted events, and the rejected ones", "Accepted", json!({"accepted": 1, "rejected": []}))
        .admins()
        .gives(Kind::BadEvents, "No event was accepted: all faults, and `rejected` event by event.")
        .gives(Kind::TooLarge, "The one event has more than 256 KiB, or the body more than 16 MiB.")
}

/// `GET /bus/events` of a local server.
pub fn bus() -> About {
    About::new("listBusEvents", TAG, "List what was published", "Oldest first. Local servers only.")
        .query("after", "The id of the last event that is known, or the `next_cursor` of a page", whole("", 0..=i64::MAX), 1)
        .query("limit", "The most items of the page; 100 unless set", whole("", 1..=1_000), 100)
        .answers(200, "A page of events", "BusEventPage", page(examples::bus_event()))
        .admins()
}
