//! Explaining: the reasons why a rule fired or did not.

use serde_json::{Value, json};

use super::{FAULTS, page};
use crate::{
    openapi::{about::About, examples, shape::pattern},
    problem::Kind,
};

const TAG: &str = "Explaining";

pub(crate) fn event() -> About {
    let text = "For each rule that the caller may see, newest first: whether it would fire on the event, or which trigger or condition \
                says no. An event whose change_id was used for another change of the conversion is refused, as it is when it is sent.";
    About::new("explainEvent", TAG, "Explain an event", text)
        .pages(pattern("", "^[A-Za-z0-9._:-]{1,128}$"), examples::RULE)
        .takes("Explain", json!({"event": examples::event()}))
        .answers(200, "A page of rules", "ExplanationPage", noted(examples::explanation()))
        .gives(Kind::Invalid, FAULTS)
}

fn noted(item: Value) -> Value {
    let mut page = page(item);
    page["notes"] = json!([{
        "pointer": "/event/conversion/query_params/utm_source", "detail": "a list of 2: its last entry counts",
    }]);
    page
}

pub(crate) fn conversion() -> About {
    let text = "The same for what really happened to a conversion, with what became of each delivery. It takes kept events.";
    About::new("explainConversion", TAG, "Explain a conversion", text)
        .pages(pattern("", "^[A-Za-z0-9._:-]{1,128}$"), examples::RULE)
        .answers(200, "A page of rules", "ConversionExplanationPage", page(examples::past()))
}
