//! Affiliates: the number of rules that they may have.

use serde_json::json;

use super::FAULTS;
use crate::{openapi::about::About, problem::Kind};

const TAG: &str = "Affiliates";

pub(crate) fn quota() -> About {
    About::new("readQuota", TAG, "Read a quota", "An affiliate reads its own.").answers(
        200,
        "The quota",
        "Quota",
        json!({"affiliate_id": "aff_7", "rules": 20, "used": 3}),
    )
}

pub(crate) fn write_quota() -> About {
    About::new("writeQuota", TAG, "Set a quota", "Rules beyond it stay; no new ones are made.")
        .takes("NewQuota", json!({"rules": 50}))
        .answers(200, "The quota", "Quota", json!({"affiliate_id": "aff_7", "rules": 50, "used": 3}))
        .admins()
        .gives(Kind::Invalid, FAULTS)
}
