//! The spans of the log: `match` around a change, `deliver` around a message of a delivery, so that every line in between names it.

use jiff::Timestamp;
use tracing::{Span, field};
use tracking_core::{
    delivery::DeliveryId,
    id::Id,
    standstill::WaitCause,
    subject_queue::{ClaimRequest, Position, Recorded, SubjectQueue},
};

use crate::{
    backend::Received,
    rows::{Task, Unreadable},
};

/// The length of a delivery's id, in bytes.
const ID_BYTES: usize = 36;

/// Returns the id of the delivery that the body of a message names first, whether the rest can be read or not.
pub fn delivery_named_in(body: &str) -> Option<DeliveryId> {
    body.match_indices("dlv_").find_map(|(at, _)| DeliveryId::parse(body.get(at..at + ID_BYTES)?))
}

/// The span of a change that is matched.
pub(crate) fn of_change(change_id: &Id) -> Span {
    tracing::info_span!("match", %change_id)
}

/// The span of a message: of one about a delivery `deliver`, of any other none.
pub(crate) fn of_message(delivery_id: Option<&DeliveryId>, task: &Result<Task, Unreadable>) -> Span {
    let Some(delivery_id) = delivery_id else { return Span::none() };
    let rule = match task {
        Ok(Task::Deliver(owed)) => Some(&owed.rule),
        Ok(Task::Record(record)) => Some(&record.row.owed.rule),
        _ => None,
    };
    tracing::info_span!("deliver", %delivery_id, tracking_api_id = rule.map(field::display), attempt = field::Empty)
}

/// The delivery that a message is about, if it is about one.
pub(crate) fn delivery_of(received: &Received, task: &Result<Task, Unreadable>) -> Option<DeliveryId> {
    match task {
        Ok(Task::Deliver(owed)) => Some(owed.id.clone()),
        Ok(Task::Wake { delivery }) => Some(delivery.clone()),
        Ok(Task::Record(record)) => Some(record.row.owed.id.clone()),
        Ok(_) => None,
        Err(_) => delivery_named_in(&received.body),
    }
}

/// Adds the rule to the span of a message that names a delivery alone.
pub(crate) fn add_rule(rule: &Id) {
    Span::current().record("tracking_api_id", field::display(rule));
}

/// Adds the attempt that was claimed to the span of its message.
pub(crate) fn add_attempt(attempt: u32) {
    Span::current().record("attempt", attempt);
}

/// Notes that the delivery of this span waits.
pub(crate) fn waits(cause: WaitCause, until: Timestamp) {
    tracing::debug!(cause = cause.as_str(), %until, "a delivery waits");
}

/// Notes that the delivery of this span waits for the reason that its subject queue gives.
pub(crate) fn waits_in_queue(
    queue: &SubjectQueue,
    request: &ClaimRequest<'_>,
    recorded: &dyn Fn(&DeliveryId) -> Option<Recorded>,
    until: Timestamp,
) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let Position { lease, blocker, .. } = queue.position(request, recorded);
        let behind = blocker.filter(|_| lease.is_none()).map(|blocker| blocker.id);
        let cause = match (&lease, &behind) {
            (Some(_), _) => WaitCause::Lease,
            (None, Some(_)) => WaitCause::Behind,
            (None, None) => WaitCause::Retry,
        };
        tracing::debug!(cause = cause.as_str(), %until, behind = behind.map(field::display), "a delivery waits");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, expected: Option<&str>) {
        assert_eq!(delivery_named_in(body).as_ref().map(DeliveryId::as_str), expected, "{body}");
    }

    #[test]
    fn the_first_id_of_a_message_is_its_delivery_s() {
        let id = "dlv_0123456789abcdefghjkmnpqrstvwxyz";
        check(&format!(r#"{{"v":9,"d":{{"kind":"wake","delivery":"{id}"}}}}"#), Some(id));
        check(&format!("dlv_ dlv_short {id} dlv_zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz"), Some(id));
        check("dlv_012345678", None);
        check(&format!("dlv_{}é", "0".repeat(31)), None);
        check("{}", None);
    }
}
