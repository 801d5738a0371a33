//! Trying out: the request that a rule would send.

use serde_json::json;

use super::FAULTS;
use crate::{
    openapi::{about::About, examples},
    problem::Kind,
};

const TAG: &str = "Trying out";
const TOO_MANY: &str = "The caller has sent 10 trials within a minute, or 2 of them run; or it is an affiliate that makes very many \
                        without sending them.";
const NO_SECRET: &str = "It is to be sent, and a secret has no value.";

pub(crate) fn test() -> About {
    let text = "Renders the request of a rule for an event, or for a built-in one, with each macro's value and where it came from, and \
                says why the rule would fire or would not. Secrets are masked. With `send: true` it is really sent, with `is_test` 1; \
                that makes no delivery and no event. A caller may send 10 trials a minute, 2 at once.";
    About::new("testTrackingApi", TAG, "Test a rule", text)
        .may_take("Test", json!({"event": examples::event(), "send": false}))
        .answers(200, "The request that would be sent, or was sent", "Trial", examples::trial())
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, NO_SECRET)
        .limited(TOO_MANY)
}

pub(crate) fn preview() -> About {
    let text = "The same as testing a rule, for one that is not saved. It makes none.";
    About::new("previewTrackingApi", TAG, "Preview a rule that is not saved", text)
        .takes("Preview", json!({"tracking_api": examples::new_rule(), "event": examples::event(), "send": false}))
        .answers(200, "The request that would be sent, or was sent", "Trial", examples::trial())
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, NO_SECRET)
        .limited(TOO_MANY)
}
