//! Answers of name lookups, kept for a short time by the wall clock: an environment that was frozen meanwhile knows that they are old.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use jiff::{SignedDuration, Timestamp};

/// Most names that are kept.
const MOST_NAMES: usize = 4_096;
/// The longest that addresses are kept.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);
/// The longest that the lack of an answer is kept.
const LONGEST_NEGATIVE: SignedDuration = SignedDuration::from_secs(5);
/// Most addresses of one name.
pub(super) const MOST_ADDRESSES: usize = 16;

/// The end of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// The name has these addresses.
    Addresses(Vec<IpAddr>),
    /// The nameserver says that the name has none, or that it can't say.
    Nothing(String),
    /// The nameserver did not answer in time.
    Silence,
}

#[derive(Debug)]
struct Kept {
    found: Found,
    since: Timestamp,
    until: Timestamp,
}

/// The names that were looked up.
#[derive(Debug, Default)]
pub(super) struct Cache(HashMap<String, Kept>);

impl Cache {
    /// The answer for a name, if it is not too old. Where the clock was set back, nothing is known.
    pub(super) fn get(&self, name: &str, now: Timestamp) -> Option<Found> {
        let kept = self.0.get(name).filter(|kept| kept.since <= now && now < kept.until)?;
        Some(kept.found.clone())
    }

    /// Keeps an answer for as long as the name's owner allows.
    pub(super) fn keep(&mut self, name: &str, found: &Found, lifetime: Duration, now: Timestamp) {
        let longest = if matches!(found, Found::Addresses(_)) { LONGEST } else { LONGEST_NEGATIVE };
        let lifetime = SignedDuration::try_from(lifetime).unwrap_or(longest).min(longest);
        if self.0.len() >= MOST_NAMES && !self.0.contains_key(name) {
            self.0.retain(|_, kept| now < kept.until);
            if self.0.len() >= MOST_NAMES {
                self.0.clear();
            }
        }
        self.0.insert(name.to_owned(), Kept { found: found.clone(), since: now, until: now + lifetime });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    #[test]
    fn f5_answers_grow_old_by_the_wall_clock() {
        let addresses = Found::Addresses(vec!["203.0.113.9".parse().unwrap()]);
        for (found, lifetime, lasts) in [
            (addresses.clone(), 3_600, 60),
            (addresses.clone(), 30, 30),
            (addresses, 0, 0),
            (Found::Nothing("none".to_owned()), 3_600, 5),
            (Found::Silence, 3_600, 5),
        ] {
            let mut cache = Cache::default();
            cache.keep("a.example", &found, Duration::from_secs(lifetime), at(0));
            if lasts > 0 {
                assert_eq!(cache.get("a.example", at(lasts - 1)), Some(found.clone()), "{found:?}");
            }
            assert_eq!(cache.get("a.example", at(lasts)), None, "{found:?}");
            assert_eq!(cache.get("a.example", at(-1)), None, "the clock was set back");
            assert_eq!(cache.get("b.example", at(0)), None);
        }
    }

    #[test]
    fn f5_so_many_names_are_kept_and_no_more() {
        let mut cache = Cache::default();
        for n in 0..10_000 {
            cache.keep(&format!("{n}.example"), &Found::Silence, Duration::from_secs(5), at(0));
            assert!(cache.0.len() <= 4_096);
        }
        assert_eq!(cache.get("9999.example", at(0)), Some(Found::Silence));
    }
}
