//! A change as a person sends it: the detail alone, or with its envelope.

use super::{Change, Envelope, MAX_EVENT_BYTES};
use crate::{
    fault::{Fault, Faults, pointer_token},
    json::Value,
};

/// Notes on each value of an event that is converted; see [`Change::parse_noting`]. Empty if the event has faults.
pub fn notes_on(given: &Value, pointer: &str) -> Vec<Fault> {
    let (detail, pointer) = detail_of(given, pointer);
    Change::parse_noting(detail, &pointer).map(|(_, notes)| notes).unwrap_or_default()
}

/// The detail of an event that a person wrote at `pointer`, and its place.
pub fn detail_of<'v>(given: &'v Value, pointer: &str) -> (&'v Value, String) {
    match given.get("detail") {
        Some(detail) => (detail, format!("{pointer}/detail")),
        None => (given, pointer.to_owned()),
    }
}

impl Change {
    /// Reads an event that a person wrote at `pointer`: a detail, or an envelope with a `detail` (docs/events-in.md). All faults are
    /// reported at once, each with its place below `pointer`.
    pub fn parse_given(given: &Value, pointer: &str) -> Result<Self, Faults> {
        let bytes = given.to_string().len();
        if bytes > MAX_EVENT_BYTES {
            return Err(Faults::one(pointer, format!("{bytes} bytes are too many: an event has at most {MAX_EVENT_BYTES}")));
        }
        let has = |name: &str| given.get(name).is_some();
        if !has("detail") && !has("detail-type") {
            return Self::parse_detail(given, pointer);
        }
        match Envelope::from_value(given) {
            Ok(Envelope::ConversionChanged(change)) => Ok(change),
            Ok(Envelope::OfferChanged(_)) => {
                let detail = "no rule fires on an Offer Changed: give a Conversion Changed";
                Err(Faults::one(format!("{pointer}/{}", pointer_token("detail-type")), detail))
            }
            Err(faults) => Err(faults.below(pointer)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, testing};

    #[test]
    fn an_event_is_given_with_or_without_its_envelope() {
        let detail = testing::detail();
        let alone = Change::parse_given(&detail, "/event").unwrap();
        assert_eq!(alone.change_id.as_str(), "chg_0001");
        let whole = json!({"detail-type": "Conversion Changed", "detail": detail});
        assert_eq!(Change::parse_given(&whole, "/event"), Ok(alone));
    }

    #[test]
    fn faults_of_a_given_event_point_to_their_fields() {
        #[track_caller]
        fn check(given: &Value, expected: &[&str]) {
            let faults = Change::parse_given(given, "/event").unwrap_err();
            assert_eq!(faults.0.iter().map(|fault| fault.pointer.as_str()).collect::<Vec<_>>(), expected, "{given}");
        }
        check(&json!({"change_id": 5}), &["/event/change_id", "/event/occurred_at", "/event/conversion"]);
        check(&json!("x"), &["/event"]);
        check(
            &json!({"detail-type": "Conversion Changed", "detail": {"change_id": "c", "occurred_at": "x"}}),
            &["/event/detail/occurred_at", "/event/detail/conversion"],
        );
        check(&json!({"detail": {}}), &["/event/detail-type"]);
        check(&json!({"detail-type": "Offer Changed", "detail": {"offer_id": "o"}}), &["/event/detail-type"]);
        check(&json!({"change_id": "x".repeat(300_000)}), &["/event"]);
    }
}
