//! The calls, and the units that AWS would bill for them.

use std::{collections::BTreeMap, fmt};

/// The payload that SQS and EventBridge bill as one unit, in bytes.
const CHUNK: usize = 64 * 1024;

/// The prefix of the pollers' own calls, which no function makes.
const POLLERS: &str = "Lambda.";

/// The counts of one action.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// The number of calls, failed ones included.
    pub calls: u64,
    /// The items, keys, messages or events in these calls.
    pub entries: u64,
    /// The billed units, in halves of the action's unit: an eventually consistent read costs half a read unit.
    pub halves: u64,
}

/// Every call since the start or the last reset, by `Service.Action`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, Tally>);

impl Counts {
    /// Returns one action's counts, such as those of `DynamoDB.PutItem`; zeros if it was never called.
    pub fn of(&self, action: &str) -> Tally {
        self.0.get(action).copied().unwrap_or_default()
    }

    /// Returns every action that was called, those of the pollers included.
    pub fn actions(&self) -> impl Iterator<Item = (&str, Tally)> {
        self.0.iter().map(|(action, tally)| (action.as_str(), *tally))
    }

    /// Returns the calls of all actions, without those of Lambda's pollers ([`super::Cloud::take`], [`super::Cloud::ack`]).
    pub fn total(&self) -> u64 {
        self.actions().filter(|(action, _)| !action.starts_with(POLLERS)).map(|(_, tally)| tally.calls).sum()
    }

    /// Returns the write units of the table and its index.
    pub fn write_units(&self) -> u64 {
        self.halves("DynamoDB.", Some("write units")) / 2
    }

    /// Returns halves of read units of the table and its index.
    pub fn read_half_units(&self) -> u64 {
        self.halves("DynamoDB.", Some("read units"))
    }

    /// Returns the SQS requests of the functions, one for each 64 KB begun.
    pub fn sqs_requests(&self) -> u64 {
        self.halves("SQS.", None) / 2
    }

    /// Returns the SQS requests of Lambda's pollers, one for each 64 KB begun; without receives that find nothing.
    pub fn poller_requests(&self) -> u64 {
        self.halves(POLLERS, None) / 2
    }

    /// Returns the events put on the bus, one for each 64 KB begun.
    pub fn bus_events(&self) -> u64 {
        self.halves("EventBridge.", None) / 2
    }

    pub(super) fn add(&mut self, action: &str, bill: Bill) {
        let tally = self.0.entry(action.to_owned()).or_default();
        tally.calls += 1;
        tally.entries += bill.entries;
        tally.halves += bill.halves;
    }

    fn halves(&self, service: &str, kind: Option<&str>) -> u64 {
        let counted =
            self.actions().filter(|(action, _)| action.starts_with(service) && kind.is_none_or(|kind| unit(action) == kind));
        counted.map(|(_, tally)| tally.halves).sum()
    }
}

/// Returns the unit in which an action is billed.
fn unit(action: &str) -> &'static str {
    match action.split_once('.') {
        Some(("DynamoDB", "PutItem" | "DeleteItem" | "BatchWriteItem")) => "write units",
        Some(("DynamoDB", _)) => "read units",
        Some(("EventBridge", _)) => "events of 64 KB",
        Some(("SQS" | "Lambda", _)) => "requests of 64 KB",
        _ => "requests",
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<36} {:>8} {:>8} {:>10}", "action", "calls", "entries", "billed")?;
        for (action, tally) in self.actions() {
            let billed = format!("{}{}", tally.halves / 2, if tally.halves % 2 == 0 { "" } else { ".5" });
            writeln!(f, "{action:<36} {:>8} {:>8} {billed:>10} {}", tally.calls, tally.entries, unit(action))?;
        }
        Ok(())
    }
}

/// The cost of one call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bill {
    pub(super) entries: u64,
    pub(super) halves: u64,
}

impl Bill {
    /// Returns a request with this much payload: one, and one more for every 64 KB begun after the first.
    pub(super) fn request(entries: usize, bytes: usize) -> Self {
        Self { entries: entries as u64, halves: 2 * chunks(bytes) }
    }

    /// Returns the cost of the call alone.
    pub(super) fn call() -> Self {
        Self { entries: 0, halves: 2 }
    }

    /// Adds units as AWS reports them: whole or half ones.
    pub(super) fn units(&mut self, units: f64) {
        let halves: u64 = format!("{:.0}", units * 2.0).parse().expect("units are not negative");
        self.halves += halves;
    }
}

/// Returns the number of 64 KB chunks that are billed for this many bytes; at least one.
pub(super) fn chunks(bytes: usize) -> u64 {
    bytes.div_ceil(CHUNK).max(1) as u64
}
