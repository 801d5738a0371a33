//! Values of which some are secret, and the other values that hold one of those.

use std::collections::{BTreeMap, BTreeSet};

use super::scrub::{Scrubber, Texts};

impl Scrubber {
    /// A scrubber for the values of these names among some variables.
    pub(crate) fn of_variables(variables: &BTreeMap<String, String>, secret: &BTreeSet<&str>) -> Self {
        let of_secrets = variables.iter().filter(|(name, _)| secret.contains(name.as_str()));
        let secrets = of_secrets.map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Self::new(&Texts { secrets, derived: BTreeSet::new() })
    }
}

/// The names among some variables of those that are secret, or hold the value of one that is.
pub(crate) fn holders(variables: &BTreeMap<String, String>, secret: &BTreeSet<&str>) -> BTreeSet<String> {
    let scrubber = Scrubber::of_variables(variables, secret);
    let holds = |(name, value): &(&String, &String)| secret.contains(name.as_str()) || scrubber.scrub(value) != **value;
    variables.iter().filter(holds).map(|(name, _)| name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn w8_holders_of_a_secret_value_are_found_by_their_values() {
        let all = [("token", "t-o-k-e-n"), ("copy", "it is T-O-K-E-N"), ("coded", "dC1vLWstZS1u"), ("empty", ""), ("id", "L-17")];
        let variables = all.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let found = holders(&variables, &BTreeSet::from(["token", "missing"]));
        assert_eq!(found.iter().collect::<Vec<_>>(), ["coded", "copy", "token"]);
        assert_eq!(holders(&variables, &BTreeSet::new()), BTreeSet::new());
    }
}
