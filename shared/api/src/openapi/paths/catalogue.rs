//! Building blocks of rules: macros, receivers to fill in, offers.

use serde_json::json;

use super::{FAULTS, page};
use crate::{
    openapi::{about::About, examples, shape::id},
    problem::Kind,
};

const TAG: &str = "Catalogue";

pub(crate) fn macros() -> About {
    About::new(
        "listMacros",
        TAG,
        "List macros and modifiers",
        "With examples. Affiliates are not shown what only admins may use.",
    )
    .answers(200, "All of them", "Macros", examples::macros())
    .gives(Kind::BadRequest, "The query has faults: this path takes no parameters.")
    .without_store()
}

pub(crate) fn step_kinds() -> About {
    About::new(
        "listStepKinds",
        TAG,
        "List the kinds of steps",
        "Each with its fields and an example, for rules that have `steps`.",
    )
    .answers(200, "All of them", "StepKinds", examples::step_kinds())
    .gives(Kind::BadRequest, "The query has faults: this path takes no parameters.")
    .without_store()
}

pub(crate) fn presets() -> About {
    let text = "Trackers, ad platforms, and flows such as logins and status queries, each as a rule to fill in and with an example: an event, \
                the requests that go out for it, the meaning of responses. Rules that report results to the platform are shown to admins alone.";
    About::new("listPresets", TAG, "List ready receivers", text)
        .answers(200, "All of them", "PresetPage", page(examples::preset()))
        .gives(Kind::BadRequest, "The query has faults: this path takes no parameters.")
        .without_store()
}

pub(crate) fn offers() -> About {
    About::new("listOffers", TAG, "List offers", "In the order of their ids.")
        .pages(id(""), "off_5")
        .answers(200, "A page of offers", "OfferPage", page(examples::offer()))
        .admins()
}

pub(crate) fn write_offer() -> About {
    let text = "The whole offer: what is left out is blank. Rules that include this offer alone take its country and category.";
    About::new("writeOffer", TAG, "Write an offer", text)
        .takes("NewOffer", json!({"name": "Loan CZ", "country": "CZ", "category": "loans"}))
        .answers(200, "The offer", "Offer", examples::offer())
        .admins()
        .gives(Kind::Invalid, FAULTS)
}
