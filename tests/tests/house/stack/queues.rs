//! The queues: their retention and visibility, and their dead letters.

use std::collections::BTreeSet;

use crate::stack::{
    faults::Faults,
    templates::{Stack, attribute},
};

/// A queue that is worked, its dead-letter queue, and the number of receives after which a message goes there.
pub(crate) const WORKED: [(&str, &str, u64); 3] = [
    ("EventsQueue", "EventsDeadLetters", 5),
    ("DeliveryQueue", "DeliveryDeadLetters", 5),
    // A wait is another receive: the engine counts the attempts.
    ("RetryQueue", "RetryDeadLetters", 100),
];

/// Queues whose messages people read.
pub(crate) const FOR_PEOPLE: [&str; 5] =
    ["EventsDeadLetters", "DeliveryDeadLetters", "RetryDeadLetters", "RejectedQueue", "IngestFailures"];

/// 14 days in seconds: the longest possible time.
const KEPT: u64 = 1_209_600;

pub(crate) fn check(stack: &Stack, faults: &mut Faults) {
    let there: BTreeSet<&str> = stack.of("AWS::SQS::Queue").map(|(name, _)| name).collect();
    let wanted: BTreeSet<&str> = WORKED.iter().map(|(name, ..)| *name).chain(FOR_PEOPLE).collect();
    faults.unless(there == wanted, format!("the queues are {there:?} instead of {wanted:?}"));
    for (name, queue) in stack.of("AWS::SQS::Queue") {
        let kept = queue["MessageRetentionPeriod"].as_u64();
        faults.unless(kept == Some(KEPT), format!("{name} keeps messages for {kept:?} s instead of {KEPT}"));
        faults.unless(queue["SqsManagedSseEnabled"] == true, format!("{name} is not encrypted"));
        faults.unless(queue.get("DelaySeconds").is_none(), format!("{name} delays everything"));
        faults.unless(queue.get("FifoQueue").is_none(), format!("{name} is no standard queue"));
    }
    for (name, dead_letters, most) in WORKED {
        let queue = stack.properties(name);
        let visibility = queue["VisibilityTimeout"].as_u64();
        faults.unless(visibility == Some(900), format!("{name} hides messages for {visibility:?} s instead of 900"));
        let redrive = &queue["RedrivePolicy"];
        let target = &redrive["deadLetterTargetArn"];
        faults.unless(*target == attribute(dead_letters, "Arn"), format!("{name}'s dead letters go to {target}"));
        let receives = redrive["maxReceiveCount"].as_u64();
        faults.unless(receives == Some(most), format!("{name} gives up after {receives:?} receives instead of {most}"));
    }
    for name in FOR_PEOPLE {
        let ends = stack.properties(name).get("RedrivePolicy").is_none();
        faults.unless(ends, format!("messages vanish from {name}"));
    }
}
