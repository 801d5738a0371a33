//! The waits of a retry policy, in seconds and in words, for people to read (L2).

use serde::Serialize;

/// The most different waits that the text lists one by one.
const MOST_LISTED: usize = 8;
/// The number of waits at the beginning of a longer list.
const FIRST_LISTED: usize = 5;

/// The waits of a policy (L2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Schedule {
    /// The wait before each retry in seconds, without jitter.
    pub waits_seconds: Vec<u64>,
    /// All waits together in seconds, each with the most that jitter may add.
    pub longest_seconds: u64,
    /// Both in words: "1 min, 2 min, 4 min; at most 8 min, or longer if the receiver asks for it".
    pub text: String,
}

impl Schedule {
    /// Computes the schedule from the waits before the retries.
    pub(super) fn of(waits_seconds: Vec<u64>) -> Self {
        let total: u64 = waits_seconds.iter().sum();
        let longest_seconds = (total * 11).div_ceil(10);
        let text = if waits_seconds.is_empty() {
            "no retries: one request".to_owned()
        } else {
            let longest = in_words(longest_seconds);
            format!("{}; at most {longest}, or longer if the receiver asks for it", waits(&waits_seconds))
        };
        Self { waits_seconds, longest_seconds, text }
    }
}

/// The waits in words; equal ones in a row are counted.
fn waits(seconds: &[u64]) -> String {
    let texts = seconds.chunk_by(|one, next| one == next).map(|equal| match equal {
        [one] => in_words(*one),
        several => format!("{} times {}", several.len(), in_words(several[0])),
    });
    let mut texts: Vec<String> = texts.collect();
    if texts.len() > MOST_LISTED {
        let last = texts.len() - 1;
        texts.splice(FIRST_LISTED..last, ["…".to_owned()]);
    }
    texts.join(", ")
}

/// A time in its two largest units, rounded up.
fn in_words(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let largest = UNITS.iter().position(|(size, _)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (size, unit) = UNITS[largest];
    let Some((smaller, name)) = UNITS.get(largest + 1) else { return format!("{seconds} {unit}") };
    let rounded = seconds.next_multiple_of(*smaller);
    match (rounded % size) / smaller {
        // Rounding may reach a larger unit.
        _ if rounded > seconds => in_words(rounded),
        0 => format!("{} {unit}", seconds / size),
        rest => format!("{} {unit} {rest} {name}", seconds / size),
    }
}
