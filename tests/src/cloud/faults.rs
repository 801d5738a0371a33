//! Faults on request: the process is killed at a call, or single calls and entries fail.

use std::collections::{HashMap, VecDeque};

use super::wire::Refused;
use crate::crash::Cut;

/// The fault of a single call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call is refused because there are too many; nothing takes effect.
    Throttled,
    /// The service has a fault of its own; nothing takes effect.
    InternalError,
    /// The connection ends without an answer; nothing takes effect.
    ConnectionDropped,
    /// The call takes effect, and the connection ends without an answer.
    LostAnswer,
    /// The call is never answered; nothing takes effect.
    Hangs,
}

/// The order for one call of an action.
#[derive(Debug)]
pub(super) enum Order {
    Fault(Fault),
    /// These entries are left out, and the answer says so.
    Leave(Vec<usize>),
}

/// The plan for the calls to come.
#[derive(Debug, Default)]
pub(super) struct Plan {
    cut: Option<(u64, Cut)>,
    pub(super) down: bool,
    orders: HashMap<String, VecDeque<Order>>,
    /// Actions of which every call fails.
    failing: HashMap<String, Fault>,
}

/// The outcome of one call.
#[derive(Debug)]
pub(super) enum Fate {
    /// The call is worked, without these entries.
    Worked(Vec<usize>),
    /// The call is refused with this answer.
    Refused(Refused),
    /// The connection ends, after the effect or without it.
    Dropped { worked: bool },
    /// The process dies with this call.
    Cut(Cut),
    /// The process is dead, or the service is silent: there is no effect and no answer.
    Silence,
}

impl Plan {
    pub(super) fn cut_at(&mut self, n: u64, cut: Cut) {
        assert!(n > 0, "the next call is number 1");
        self.cut = Some((n, cut));
    }

    pub(super) fn order(&mut self, action: &str, order: Order) {
        self.orders.entry(action.to_owned()).or_default().push_back(order);
    }

    pub(super) fn fail_all(&mut self, action: &str, fault: Option<Fault>) {
        match fault {
            Some(fault) => _ = self.failing.insert(action.to_owned(), fault),
            None => _ = self.failing.remove(action),
        }
    }

    pub(super) fn revive(&mut self) {
        self.down = false;
        self.cut = None;
    }

    /// Decides on one call, and counts it.
    pub(super) fn fate(&mut self, action: &str) -> Fate {
        if self.down {
            return Fate::Silence;
        }
        if let Some((left, cut)) = &mut self.cut {
            *left -= 1;
            if *left == 0 {
                let cut = *cut;
                self.cut = None;
                self.down = true;
                return Fate::Cut(cut);
            }
        }
        let order = self.orders.get_mut(action).and_then(VecDeque::pop_front);
        match order.or_else(|| self.failing.get(action).copied().map(Order::Fault)) {
            None => Fate::Worked(Vec::new()),
            Some(Order::Leave(entries)) => Fate::Worked(entries),
            Some(Order::Fault(Fault::Throttled)) => Fate::Refused(throttled(action)),
            Some(Order::Fault(Fault::InternalError)) => Fate::Refused(internal(action)),
            Some(Order::Fault(Fault::ConnectionDropped)) => Fate::Dropped { worked: false },
            Some(Order::Fault(Fault::LostAnswer)) => Fate::Dropped { worked: true },
            Some(Order::Fault(Fault::Hangs)) => Fate::Silence,
        }
    }
}

/// Returns a service's error for too many calls.
fn throttled(action: &str) -> Refused {
    let code = match service(action) {
        "DynamoDB" => "com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException",
        "SQS" => "com.amazonaws.sqs#RequestThrottled",
        _ => "ThrottlingException",
    };
    Refused::new(400, code, "there are too many, as ordered")
}

/// Returns a service's error for a fault of its own.
fn internal(action: &str) -> Refused {
    let code = match service(action) {
        "DynamoDB" => "com.amazonaws.dynamodb.v20120810#InternalServerError",
        "KMS" => "KMSInternalException",
        "EventBridge" => "InternalException",
        _ => "InternalFailure",
    };
    Refused::new(500, code, "a fault, as ordered")
}

fn service(action: &str) -> &str {
    action.split('.').next().unwrap_or(action)
}
