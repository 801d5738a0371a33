//! Requests from outside for steps that listen.

use serde_json::json;

use crate::{
    openapi::{about::About, examples, shape::named},
    problem::Kind,
};

const TAG: &str = "Callbacks";
/// A body of any media type.
const ANY: &[&str] = &["*/*"];

pub(crate) fn get() -> About {
    taken(About::new("readCallback", TAG, "Call back by a link", CALLBACK))
}

pub(crate) fn post() -> About {
    let about = About::new("postCallback", TAG, "Call back", CALLBACK);
    taken(about.takes_any(ANY, named("CallbackBody"), json!({"status": "approved", "amount": "12.50"})))
}

/// The purpose of both.
const CALLBACK: &str = "For a receiver that got this URL by `{callback_url}`; needs no token. The step with `listen` reads it, at once or \
                        when it begins. A request without a body is read by its query, as a form. The same again changes nothing.";

fn taken(about: About) -> About {
    about
        .answers(202, "It is stored and will be read", "CallbackTaken", json!({"accepted": true}))
        .gives(Kind::Unauthorized, "The step asks for a proof (`verify`), which is missing or wrong.")
        .gives(Kind::Gone, "The step has ended, or its delivery or Tracking API.")
        .gives(Kind::TooLarge, "The query has more than 8192 bytes.")
        .gives(
            Kind::TooMany,
            "The run of the step has had 31 callbacks or 256 KiB of bodies, or the share of the rule's owner is used up.",
        )
}

pub(crate) fn webhook() -> About {
    let text = "For a sender that has the `webhook_id` of a Tracking API; needs no token. Every delivery whose step with `listen` and `match` \
                waits for the value that it brings reads it, 20 at most. If none waits for it, the answer is 404: send it again later.";
    About::new("postWebhook", TAG, "Send a webhook", text)
        .takes_any(ANY, named("CallbackBody"), json!({"order_id": "4711", "status": "approved"}))
        .answers(202, "It is stored and will be read", "CallbackTaken", json!({"accepted": true, "deliveries": 1}))
        .gives(Kind::Unauthorized, "The step asks for a proof (`verify`), which is missing or wrong.")
        .gives(Kind::TooLarge, "The query has more than 8192 bytes.")
}

pub(crate) fn renew() -> About {
    let text = "The webhook of the rule gets a new `webhook_id`; the old one is taken no more.";
    About::new("renewWebhookId", TAG, "Renew the webhook id", text)
        .if_match()
        .answers(200, "The rule, with its new `webhook_id`", "TrackingApi", examples::rule())
        .tagged()
        .gives(Kind::Conflict, "No step of the rule waits for a webhook.")
        .limited("The affiliate has changed rules 600 times within an hour.")
}
