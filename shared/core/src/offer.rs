//! Offers: the source of a rule's country and category (V1).

use std::borrow::Borrow;

use serde::Serialize;

use crate::id::Id;

/// An offer as the platform describes it. Its country is free text, mostly an ISO 3166 code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// The offer's id.
    pub offer_id: Id,
    /// Its name.
    pub name: Option<String>,
    /// Its country.
    pub country: Option<String>,
    /// Its category.
    pub category: Option<String>,
}

/// An offer in an `Offer Changed` event of the bus: the whole offer as it now is.
pub type OfferChange = Offer;

/// The country and category of a rule (V1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The offer's country, or [`GLOBAL`].
    pub country: String,
    /// The offer's category; `None` is blank.
    pub category: Option<String>,
}

/// The country of a rule that isn't about one offer alone (V1).
pub const GLOBAL: &str = "global";

impl Default for Placement {
    fn default() -> Self {
        Self { country: GLOBAL.to_owned(), category: None }
    }
}

/// The country and category of a rule with these included offers: those of its offer if exactly one is included, else global and
/// blank (V1). An offer that `lookup` doesn't find, or one without a country, is global too.
pub fn placement<O: Borrow<Offer>>(included_offers: &[Id], lookup: impl FnOnce(&Id) -> Option<O>) -> Placement {
    let [only] = included_offers else { return Placement::default() };
    let Some(offer) = lookup(only) else { return Placement::default() };
    let Offer { country, category, .. } = offer.borrow();
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    Placement { country: text(country).unwrap_or_else(|| GLOBAL.to_owned()), category: text(category) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[track_caller]
    fn check(what: &str, included: &[&str], country: &str, category: Option<&str>) {
        let known = [
            json!({"offer_id": "off_5", "name": "Loan CZ", "country": "CZ", "category": "loans"}),
            json!({"offer_id": "off_6", "country": null, "category": ""}),
        ];
        let known: Vec<Offer> = known.iter().map(|detail| Offer::parse_detail(detail, "").unwrap()).collect();
        let included: Vec<Id> = included.iter().map(|id| id.parse().unwrap()).collect();
        let placement = placement(&included, |id| known.iter().find(|offer| offer.offer_id == *id));
        assert_eq!(placement, Placement { country: country.into(), category: category.map(Into::into) }, "{what}");
    }

    #[test]
    fn v1_country_and_category_are_those_of_the_only_included_offer() {
        check("one offer", &["off_5"], "CZ", Some("loans"));
        check("no offer", &[], "global", None);
        check("several offers", &["off_5", "off_6"], "global", None);
        check("an offer without a country", &["off_6"], "global", None);
        check("an offer that isn't known yet", &["off_7"], "global", None);
    }
}
