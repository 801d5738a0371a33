//! The owner of a new rule, which never changes (V2).

use crate::{
    caller::{Caller, Owner},
    document::Fields,
    fault::Faults,
    json::Value,
};

/// The owner of a rule that a caller creates: itself, or the affiliate on whose behalf an admin creates (V2).
///
/// # Errors
/// An owner that is malformed, or one that an affiliate may not choose.
pub fn owner_of_new(document: &Value, caller: &Caller) -> Result<Owner, Faults> {
    let own = caller.as_owner();
    let Some(owner) = read_owner(document)? else { return Ok(own) };
    match caller {
        Caller::Affiliate(id) if owner != own => {
            Err(Faults::one("/owner", format!("another's: an affiliate owns its rules itself, leave owner out or name {id}")))
        }
        _ => Ok(owner),
    }
}

/// Checks that a document which replaces a rule keeps its owner: otherwise an affiliate could redirect a rule with an
/// admin's secret (V2). An absent owner is kept.
///
/// # Errors
/// An owner that is malformed or another one.
pub fn keeps_owner(document: &Value, owner: &Owner) -> Result<(), Faults> {
    match read_owner(document)? {
        Some(other) if other != *owner => {
            let now = owner.affiliate().map_or("admin".to_owned(), |id| format!("affiliate {id}"));
            Err(Faults::one("/owner", format!("the owner never changes: it is {now}, leave owner out or create a new rule")))
        }
        _ => Ok(()),
    }
}

fn read_owner(document: &Value) -> Result<Option<Owner>, Faults> {
    let Some(value) = document.get("owner").filter(|value| !value.is_null()) else { return Ok(None) };
    let mut faults = Faults::default();
    let fields = Fields::open(Some(value), "/owner", &["kind", "affiliate_id"], &[], &mut faults);
    let is_affiliate = fields.word("kind", &[("admin", false), ("affiliate", true)], &mut faults);
    if value.is_object() && fields.get("kind").is_none() {
        faults.add("/owner/kind", "required: choose admin or affiliate");
    }
    let affiliate_id = fields.text("affiliate_id", &mut faults).and_then(|text| match text.parse() {
        Ok(id) => Some(id),
        Err(fault) => {
            faults.add("/owner/affiliate_id", crate::id::NotAnId::to_string(&fault));
            None
        }
    });
    let owner = match is_affiliate {
        Some(true) if fields.get("affiliate_id").is_none() => {
            faults.add("/owner/affiliate_id", "required: the id of the affiliate that owns the rule");
            None
        }
        Some(true) => affiliate_id.map(|affiliate_id| Owner::Affiliate { affiliate_id }),
        Some(false) => {
            fields.refuse(&["affiliate_id"], "an admin's rule has no affiliate, leave it out", &mut faults);
            Some(Owner::Admin)
        }
        None => None,
    };
    owner.filter(|_| faults.is_empty()).map(Some).ok_or(faults)
}
