//! What was called, and what AWS would bill for it.

use std::{collections::BTreeMap, fmt};

/// What SQS and EventBridge bill as one: a started 64 KB of payload.
const CHUNK: usize = 64 * 1024;

/// The pollers' own calls, which no function makes.
const POLLERS: &str = "Lambda.";

/// What became of one kind of call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How often it was called, in vain too.
    pub calls: u64,
    /// Items, keys, messages or events in these calls.
    pub entries: u64,
    /// What is billed, in halves of the action's unit: a read that may be stale costs half a read unit.
    pub halves: u64,
}

/// Every call since the start or the last reset, by `Service.Action`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<String, Tally>);

impl Counts {
    /// One action's tally, such as `DynamoDB.PutItem`; nothing if it was never called.
    pub fn of(&self, action: &str) -> Tally {
        self.0.get(action).copied().unwrap_or_default()
    }

    /// Every action that was called, the pollers' among them.
    pub fn actions(&self) -> impl Iterator<Item = (&str, Tally)> {
        self.0.iter().map(|(action, tally)| (action.as_str(), *tally))
    }

    /// Calls of all actions together, without those of Lambda's pollers ([`super::Cloud::take`], [`super::Cloud::settle`]).
    pub fn total(&self) -> u64 {
        self.actions().filter(|(action, _)| !action.starts_with(POLLERS)).map(|(_, tally)| tally.calls).sum()
    }

    /// Write units of the table and its index.
    pub fn write_units(&self) -> u64 {
        self.halves("DynamoDB.", Some("write units")) / 2
    }

    /// Halves of read units of the table and its index.
    pub fn read_half_units(&self) -> u64 {
        self.halves("DynamoDB.", Some("read units"))
    }

    /// SQS requests of the functions in started 64 KB.
    pub fn sqs_requests(&self) -> u64 {
        self.halves("SQS.", None) / 2
    }

    /// SQS requests of Lambda's pollers in started 64 KB; without those that find nothing.
    pub fn poller_requests(&self) -> u64 {
        self.halves(POLLERS, None) / 2
    }

    /// Events put on the bus in started 64 KB.
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

/// What an action is billed in.
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

/// What one call costs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Bill {
    pub(super) entries: u64,
    pub(super) halves: u64,
}

impl Bill {
    /// A request with this much payload: one, and one more for every 64 KB begun after the first.
    pub(super) fn request(entries: usize, bytes: usize) -> Self {
        Self { entries: entries as u64, halves: 2 * chunks(bytes) }
    }

    /// Nothing but the call itself.
    pub(super) fn call() -> Self {
        Self { entries: 0, halves: 2 }
    }

    /// Adds units as AWS tells them: whole or half ones.
    pub(super) fn units(&mut self, units: f64) {
        let halves: u64 = format!("{:.0}", units * 2.0).parse().expect("units are not negative");
        self.halves += halves;
    }
}

/// How many started 64 KB are billed for this much; at least one.
pub(super) fn chunks(bytes: usize) -> u64 {
    bytes.div_ceil(CHUNK).max(1) as u64
}
