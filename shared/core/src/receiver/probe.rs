//! Probes: the delivery that probes an open receiver, and the time of the next one (B3).

use jiff::{SignedDuration, Timestamp};

use crate::delivery::DeliveryId;

/// The pause before the first probe; each further one is twice as long.
const FIRST_PAUSE: SignedDuration = SignedDuration::from_secs(30);
/// The longest pause while many attempts are left.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(10);

/// A delivery that waits for its receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeCandidate {
    /// The delivery.
    pub id: DeliveryId,
    /// The number of its remaining attempts.
    pub attempts_left: u32,
    /// The time of its creation.
    pub created_at: Timestamp,
}

/// Chooses the delivery that probes: the one with most attempts left, then the oldest.
pub fn choose_probe(waiting: &[ProbeCandidate]) -> Option<&ProbeCandidate> {
    let order = |one: &&ProbeCandidate, other: &&ProbeCandidate| {
        let most = one.attempts_left.cmp(&other.attempts_left).reverse();
        most.then_with(|| one.created_at.cmp(&other.created_at)).then_with(|| one.id.cmp(&other.id))
    };
    waiting.iter().min_by(order)
}

/// The pause before the next probe after `failed` probes, while these wait and the oldest of them waits for `left` more: 30 s at first,
/// doubling up to ten minutes, and longer if few attempts are left, so that they cover the time.
pub fn probe_pause(failed: u32, waiting: &[ProbeCandidate], left: SignedDuration) -> SignedDuration {
    let doubled = FIRST_PAUSE.checked_mul(1 << failed.min(10)).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
    // The last attempt of a delivery is no probe, unless no delivery has more.
    let spare: u32 = waiting.iter().map(|one| one.attempts_left.saturating_sub(1)).fold(0, u32::saturating_add);
    let others = u32::try_from(waiting.len().saturating_sub(1)).unwrap_or(u32::MAX);
    let probes = if spare > 0 { spare } else { others };
    let part = left.max(SignedDuration::ZERO) / 2_i32.pow(probes.min(30));
    doubled.max(part)
}
