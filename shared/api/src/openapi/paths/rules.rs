//! Rules: their table, their life, their secrets, their history.

use serde_json::json;
use tracking_core::trigger::Trigger;

use super::{FAULTS, page};
use crate::{
    openapi::{
        about::{About, choice},
        examples,
        shape::{id, pattern, text},
    },
    problem::Kind,
};

const TAG: &str = "Tracking APIs";
/// The limit of changes by affiliates.
const CHANGES: &str = "The affiliate has changed rules 60 times within a minute or 1 000 times within a day.";
/// The conflict that a change can run into.
const CHANGED: &str = "Somebody else changed the rule at the same moment: read it again.";

pub(crate) fn list() -> About {
    let text = "Newest first. An affiliate sees its own alone; an admin sees all, also those made on an affiliate's behalf.";
    columns(About::new("listTrackingApis", TAG, "List rules", text).query(
        "owner",
        "Only those of this owner: `admin`, or an affiliate's id",
        id(""),
        "aff_7",
    ))
    .answers(200, "A page of rules", "TrackingApiPage", page(examples::rule()))
}

pub(crate) fn affiliate_postbacks() -> About {
    let text = "The Affiliate Postback list: rules that affiliates own, newest first. An affiliate sees its own; an admin those of \
                all, or of one.";
    columns(About::new("listAffiliatePostbacks", TAG, "List affiliates' rules", text).query(
        "affiliate_id",
        "Only those of this affiliate",
        id(""),
        "aff_7",
    ))
    .answers(200, "A page of rules", "TrackingApiPage", page(examples::affiliate_rule()))
}

/// The filters of the table.
fn columns(about: About) -> About {
    about
        .query("country", "Only those of this country, or `global`", text(""), "CZ")
        .query("category", "Only those of this category", text(""), "loans")
        .query("offer", "Only those that include this offer", id(""), "off_5")
        .query("trigger", "Only those with this trigger", choice(Trigger::ALL.map(Trigger::as_str)), "transaction_all")
        .query("label", "Only those with this label, whatever its case", text(""), "bank")
        .query("active", "Only those that are active, or are not", choice(["true", "false"]), "true")
        .query("failing", "`true`: only those whose newest attempts failed", choice(["true"]), "true")
        .query("q", "Only those with this text in their name, whatever its case", text(""), "bank")
        .pages(id(""), examples::RULE)
}

pub(crate) fn bulk() -> About {
    let text = "Switches many rules on or off, or pauses them, one after another. A failure of one stops no other: each has its own \
                status.";
    About::new("changeTrackingApis", TAG, "Change many rules", text)
        .takes("BulkChange", json!({"ids": [examples::RULE], "action": "pause"}))
        .answers(
            200,
            "One result for each rule, in order",
            "BulkResults",
            json!({
                "results": [{"id": examples::RULE, "status": 200, "version": 5, "detail": null}],
            }),
        )
        .gives(Kind::Invalid, FAULTS)
        .limited(CHANGES)
}

pub(crate) fn create() -> About {
    let text = "Only `name` and `request.url` are needed. The owner is the caller; an admin may name an affiliate. `secret_values` are \
                written and never read back. A rule that names a secret without a value is inactive until it has one.";
    About::new("createTrackingApi", TAG, "Create a rule", text)
        .takes("NewTrackingApi", examples::new_rule())
        .answers(201, "The rule", "TrackingApi", examples::rule())
        .tagged()
        .with_header("Location", "The address of the rule", "/tracking-apis/trk_01k9abc")
        .keyed()
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The affiliate has as many rules as it may have.")
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}

pub(crate) fn read() -> About {
    About::new("readTrackingApi", TAG, "Read a rule", "With its health: what became of its deliveries of the last 24 hours.")
        .answers(200, "The rule", "TrackingApi", examples::rule())
        .tagged()
}

pub(crate) fn replace() -> About {
    let text = "Fields that are left out take their defaults. Fields that the server sets are ignored, so that a rule can be written back \
                as it was read. The owner never changes.";
    About::new("replaceTrackingApi", TAG, "Replace a rule", text)
        .if_match()
        .takes("NewTrackingApi", examples::new_rule())
        .answers(200, "The rule", "TrackingApi", examples::rule())
        .tagged()
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}

pub(crate) fn patch() -> About {
    let text =
        "A merge patch (RFC 7396): a null takes a field away, an object is merged field by field, everything else replaces.";
    About::new("patchTrackingApi", TAG, "Change parts of a rule", text)
        .if_match()
        .takes_any(
            &["application/json", "application/merge-patch+json"],
            crate::openapi::shape::named("TrackingApiPatch"),
            json!({"active": false}),
        )
        .answers(200, "The rule", "TrackingApi", examples::rule())
        .tagged()
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}

pub(crate) fn delete() -> About {
    let text = "It sends nothing more: what waits or is held ends `cancelled`. The log keeps what was sent.";
    About::new("deleteTrackingApi", TAG, "Delete a rule", text)
        .if_match()
        .answers_nothing("It is gone")
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}

pub(crate) fn duplicate() -> About {
    let text = "A copy with everything but the secrets' values, changed by a merge patch (RFC 7396). The name is `NAME (copy)` unless \
                given, the owner the original's unless an admin names another.";
    About::new("duplicateTrackingApi", TAG, "Duplicate a rule", text)
        .may_take("TrackingApiPatch", json!({"name": "Bank status, channel 2", "secret_values": {"token": "t0ken"}}))
        .answers(201, "The copy", "TrackingApi", examples::rule())
        .tagged()
        .with_header("Location", "The address of the copy", "/tracking-apis/trk_01k9abd")
        .keyed()
        .gives(Kind::Invalid, FAULTS)
        .gives(Kind::Conflict, "The affiliate has as many rules as it may have.")
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}

const SECRET: &str = "The value is kept sealed and never read back. It is sent only to the receiver that the rule has at this moment: with \
                      `If-Match` only to that of the version which you have seen.";

pub(crate) fn write_secret() -> About {
    About::new("writeSecret", TAG, "Write a secret", SECRET)
        .if_match()
        .takes("SecretValue", json!({"value": "t0ken"}))
        .answers_nothing("It is written")
        .gives(Kind::Conflict, "Another party wrote secrets of this rule.")
        .gives(Kind::Invalid, FAULTS)
        .limited(CHANGES)
}

pub(crate) fn delete_secret() -> About {
    About::new("deleteSecret", TAG, "Delete a secret", "Only one that the rule does not use.")
        .if_match()
        .answers_nothing("It is gone")
        .gives(Kind::Conflict, "The rule uses the secret.")
        .limited(CHANGES)
}

pub(crate) fn history() -> About {
    let text =
        "Every change with author and time, newest first; of secrets only that they changed. A deleted rule keeps its history.";
    About::new("readHistory", TAG, "Read a rule's history", text)
        .pages(pattern("", "^[0-9]{1,19}\\.[A-Za-z0-9]{1,64}$"), "000000000003.0123456789abcdef")
        .answers(200, "A page of changes", "HistoryPage", page(examples::history()))
}

pub(crate) fn restore() -> About {
    let text = "The rule as it was at that version, checked as any change is; secrets keep the values that they have now.";
    About::new("restoreVersion", TAG, "Restore a version", text)
        .if_match()
        .answers(200, "The rule", "TrackingApi", examples::rule())
        .tagged()
        .gives(Kind::Invalid, "The version is no longer allowed: all its faults.")
        .gives(Kind::Changed, CHANGED)
        .limited(CHANGES)
}
