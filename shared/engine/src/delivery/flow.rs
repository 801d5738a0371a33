//! The place of a delivery in the flow of its rule, with the variables that its texts read (W3, W5).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use tracking_core::{
    flow::{Call, Emitted, Plan, Progress, is_callback_url},
    tracking_api::RuleDefinition,
};

use super::{callback_urls::CallbackUrls, sealed::Seal};
use crate::{
    backend::StoreError,
    rows::{DeliveryRow, OwedDelivery},
    rules::{
        Rule,
        kept::{KeptText, KeptVariables},
    },
};

/// Values by the names of the variables that are kept for later deliveries (W5).
pub(super) type Kept = BTreeMap<String, KeptText>;

/// The place of a delivery in its flow, with its variables, before a request of it is claimed.
#[derive(Debug, Clone)]
pub(crate) struct InFlow {
    pub(crate) progress: Progress,
    /// The variables that texts read: those of the delivery, and those that are kept for its rule (W5).
    pub(crate) variables: BTreeMap<String, String>,
    /// The kept variables as they were read; they are no part of the delivery.
    pub(super) kept: BTreeMap<String, String>,
    /// The names of variables that nobody sees, whatever the rule says of them now.
    pub(crate) hidden: BTreeSet<String>,
    /// It has the lease on setting kept variables.
    pub(super) leases: bool,
    /// The events that its steps emitted since its row was written (W20).
    pub(super) emitted: Vec<Emitted>,
    /// Its callback URLs, if a text of the rule holds one (W17).
    callbacks: Option<Arc<CallbackUrls>>,
}

impl InFlow {
    /// The place of a delivery that has this row, or none.
    ///
    /// # Errors
    /// Its secret variables don't open.
    pub(super) fn of(
        (rule, owed): (&Rule, &OwedDelivery),
        (row, seal): (Option<&DeliveryRow>, &Seal),
        kept: KeptVariables,
        (public_url, now): (Option<&str>, Timestamp),
    ) -> Result<Self, StoreError> {
        let plan = &rule.definition.plan;
        let progress = row.and_then(|row| row.flow.as_deref().cloned());
        let (base, resends) = row.map_or((0, 0), |row| (row.base, row.resends));
        let progress = progress.unwrap_or_else(|| Progress::first(plan, base, now).of_resend(resends));
        let own = row.map(|row| seal.open(row)).transpose()?.unwrap_or_default();
        let callbacks = CallbackUrls::new(plan, public_url, seal.key().map(|key| (owed, Arc::clone(key))));
        let mut hidden = row.map(|row| row.secret_variables.clone()).unwrap_or_default();
        hidden.extend(kept.hidden);
        let mut flow = Self {
            variables: own.into_iter().chain(kept.values.clone()).collect(),
            kept: kept.values,
            hidden,
            leases: false,
            emitted: Vec::new(),
            callbacks,
            progress,
        };
        flow.fill_callbacks();
        Ok(flow)
    }

    fn fill_callbacks(&mut self) {
        if let Some(callbacks) = &self.callbacks {
            callbacks.fill(&self.progress, &mut self.variables);
        }
    }

    /// The place of a trial, which reads kept variables and keeps nothing (W11).
    pub(crate) fn of_trial(plan: &Plan, progress: Progress, kept: KeptVariables, public_url: Option<&str>) -> Self {
        let (KeptVariables { values: kept, hidden }, emitted) = (kept, Vec::new());
        let callbacks = CallbackUrls::new(plan, public_url, None);
        let mut flow = Self { progress, variables: kept.clone(), kept, hidden, leases: false, emitted, callbacks };
        flow.fill_callbacks();
        flow
    }

    /// The same delivery at another place.
    pub(crate) fn moved(&self, progress: Progress, variables: BTreeMap<String, String>) -> Self {
        let mut moved = Self { progress, variables, leases: false, ..self.clone() };
        moved.fill_callbacks();
        moved
    }

    /// The same after its steps have emitted these events.
    pub(super) fn emitting(mut self, emitted: Vec<Emitted>) -> Self {
        self.emitted.extend(emitted);
        self
    }

    /// The values of variables that are kept for so many seconds.
    pub(super) fn kept_for(&self, seconds: &BTreeMap<String, u32>) -> Kept {
        keep(seconds, &self.variables, &self.hidden)
    }

    /// Writes it into the delivery's row.
    pub(super) fn note(&self, definition: &RuleDefinition, seal: &Seal, row: &mut DeliveryRow) {
        row.flow = Some(Box::new(self.progress.clone()));
        row.emitted.clone_from(&self.emitted);
        let kept = definition.plan.kept_variables();
        let own = self.variables.iter().filter(|(name, _)| !kept.contains(*name) && !is_callback_url(name));
        seal.write(definition, row, own.map(|(name, value)| (name.clone(), value.clone())).collect());
    }
}

/// The kept ones of these variables, each for so many seconds; `hidden` names those that nobody sees.
pub(super) fn keep(seconds: &BTreeMap<String, u32>, variables: &BTreeMap<String, String>, hidden: &BTreeSet<String>) -> Kept {
    let kept = |(name, seconds): (&String, &u32)| {
        let (value, is_hidden) = (variables.get(name)?.clone(), hidden.contains(name));
        Some((name.clone(), KeptText { value, seconds: *seconds, is_hidden }))
    };
    seconds.iter().filter_map(kept).collect()
}

/// The request of a place in a flow; of a rule without a flow, or whose step is gone, its first.
pub(crate) fn call_of<'r>(definition: &'r RuleDefinition, flow: Option<&InFlow>) -> &'r Call {
    let plan = &definition.plan;
    flow.and_then(|flow| plan.call(&flow.progress.step)).unwrap_or_else(|| plan.first_call())
}
