//! Reading an `Offer Changed` event.

use super::fields::{Fields, ID, TEXT};
use crate::{fault::Faults, json::Value, offer::Offer};

impl Offer {
    /// Reads the detail of an `Offer Changed` event at `pointer_prefix`: `offer_id` is required, the other fields may be absent or null,
    /// unknown ones are ignored. All faults are reported at once.
    pub fn parse_detail(detail: &Value, pointer_prefix: &str) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let offer = Fields::open(detail, pointer_prefix, &mut faults).and_then(|mut fields| {
            let offer_id = fields.required("offer_id", &ID);
            Some(Self {
                name: fields.optional("name", &TEXT),
                country: fields.optional("country", &TEXT),
                category: fields.optional("category", &TEXT),
                offer_id: offer_id?,
            })
        });
        match offer {
            Some(offer) if faults.is_empty() => Ok(offer),
            _ => Err(faults),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn v1_all_faults_of_an_offer_change_are_reported_at_once() {
        let faults = Offer::parse_detail(&json!({"name": 5, "country": ["CZ"], "more": 1}), "/detail").unwrap_err();
        let found: Vec<_> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
        assert_eq!(
            found,
            [
                ("/detail/offer_id", "missing: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"),
                ("/detail/name", "5 is not allowed: give a text of at most 2048 bytes"),
                ("/detail/country", "a list is not allowed: give a text of at most 2048 bytes"),
            ]
        );
    }
}
