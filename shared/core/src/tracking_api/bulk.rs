//! A change of many rules.

use crate::{
    document::Fields,
    fault::{Faults, unknown},
    id::Id,
    json,
    json::Value,
};

/// A change of many rules with the same patch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bulk {
    /// The rules, each once.
    pub ids: Vec<Id>,
    /// The patch for each.
    pub patch: Value,
}

const ACTIONS: [&str; 4] = ["activate", "deactivate", "pause", "resume"];

impl Bulk {
    /// Reads `{"ids": […], "action": "…"}` with `most` ids at most.
    ///
    /// # Errors
    /// All faults at once.
    pub fn parse(body: &Value, most: usize) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let fields = Fields::open(Some(body), "", &["ids", "action"], &[], &mut faults);
        let ids = ids(&fields, most, &mut faults);
        if fields.get("action").is_none() && body.is_object() {
            faults.add("/action", format!("required; expected one of {}", ACTIONS.join(", ")));
        }
        let patch = fields.text("action", &mut faults).and_then(|action| {
            let patch = match action {
                "activate" => Some(json!({"active": true})),
                "deactivate" => Some(json!({"active": false})),
                "pause" => Some(json!({"pause": true})),
                "resume" => Some(json!({"pause": false})),
                _ => None,
            };
            if patch.is_none() {
                faults.add("/action", unknown("action", action, &ACTIONS));
            }
            patch
        });
        match patch {
            Some(patch) if faults.is_empty() => Ok(Self { ids, patch }),
            _ => Err(faults),
        }
    }
}

fn ids(fields: &Fields<'_>, most: usize, faults: &mut Faults) -> Vec<Id> {
    let Some(Value::Array(entries)) = fields.get("ids") else {
        faults.add("/ids", "give a list of ids of Tracking APIs");
        return Vec::new();
    };
    if entries.is_empty() || entries.len() > most {
        faults.add("/ids", format!("{} ids are given: give 1 to {most}", entries.len()));
        return Vec::new();
    }
    let mut ids: Vec<Id> = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        match entry.as_str().and_then(|text| text.parse().ok()) {
            Some(id) if ids.contains(&id) => {}
            Some(id) => ids.push(id),
            None => faults.add(format!("/ids/{position}"), "give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"),
        }
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_many_rules_is_read() {
        let bulk = Bulk::parse(&json!({"ids": ["trk_1", "trk_2", "trk_1"], "action": "resume"}), 9).unwrap();
        assert_eq!((bulk.ids.len(), bulk.patch), (2, json!({"pause": false})));
        let faults = |body: Value| -> Vec<String> {
            Bulk::parse(&body, 2).unwrap_err().0.into_iter().map(|fault| fault.pointer).collect()
        };
        assert_eq!(faults(json!({})), ["/ids", "/action"]);
        assert_eq!(faults(json!({"ids": ["a b"], "action": "delete", "id": 1})), ["/id", "/ids/0", "/action"]);
        assert_eq!(faults(json!({"ids": ["a", "b", "c"], "action": "pause"})), ["/ids"]);
        assert_eq!(faults(json!({"ids": [], "action": 5})), ["/ids", "/action"]);
    }
}
