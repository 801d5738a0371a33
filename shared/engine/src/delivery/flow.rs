//! The place of a delivery in the flow of its rule, with the variables that its texts read (W3, W5).

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracking_core::{
    flow::{Call, Progress},
    tracking_api::Definition,
};

use crate::{rows::DeliveryRow, rules::Rule};

/// Values by the names of the variables that are kept for later deliveries, each for so many seconds (W5).
pub(super) type Kept = BTreeMap<String, (String, u32)>;

/// The place of a delivery in its flow, with its variables, before a request of it is claimed.
#[derive(Debug, Clone)]
pub(crate) struct InFlow {
    pub(crate) progress: Progress,
    /// The variables that texts read: those of the delivery, and what is kept for its rule (W5).
    pub(crate) variables: BTreeMap<String, String>,
    /// The kept variables as they were read; they are no part of the delivery.
    pub(super) kept: BTreeMap<String, String>,
    /// It has the lease on setting kept variables.
    pub(super) leases: bool,
}

impl InFlow {
    /// The place of a delivery that has this row, or none.
    pub(super) fn of(rule: &Rule, row: Option<&DeliveryRow>, kept: BTreeMap<String, String>, now: Timestamp) -> Self {
        let progress = row.and_then(|row| row.flow.as_deref().cloned());
        let base = row.map_or(0, |row| row.base);
        let own = row.map(|row| row.variables.clone()).unwrap_or_default();
        Self {
            progress: progress.unwrap_or_else(|| Progress::first(&rule.definition.plan, base, now)),
            variables: own.into_iter().chain(kept.clone()).collect(),
            kept,
            leases: false,
        }
    }

    /// The place of a trial, which reads what is kept and keeps nothing (W11).
    pub(crate) fn of_trial(progress: Progress, kept: BTreeMap<String, String>) -> Self {
        Self { progress, variables: kept.clone(), kept, leases: false }
    }

    /// The same delivery at another place.
    pub(crate) fn moved(&self, progress: Progress, variables: BTreeMap<String, String>) -> Self {
        Self { progress, variables, kept: self.kept.clone(), leases: false }
    }

    /// The values of variables that are kept for so many seconds.
    pub(super) fn kept_for(&self, seconds: &BTreeMap<String, u32>) -> Kept {
        let value = |(name, seconds): (&String, &u32)| Some((name.clone(), (self.variables.get(name)?.clone(), *seconds)));
        seconds.iter().filter_map(value).collect()
    }

    /// Writes it into the delivery's row.
    pub(crate) fn note(&self, definition: &Definition, row: &mut DeliveryRow) {
        row.flow = Some(Box::new(self.progress.clone()));
        let kept = definition.plan.kept_variables();
        let own = self.variables.iter().filter(|(name, _)| !kept.contains(*name));
        row.variables = own.map(|(name, value)| (name.clone(), value.clone())).collect();
    }
}

/// The request of a place in a flow; of a rule without a flow, or whose step is gone, its first.
pub(crate) fn call_of<'r>(definition: &'r Definition, flow: Option<&InFlow>) -> &'r Call {
    let plan = &definition.plan;
    flow.and_then(|flow| plan.call(&flow.progress.step)).unwrap_or_else(|| plan.first_call())
}
