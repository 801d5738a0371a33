//! Everything that people read: lists of deliveries, explanations, the health of a rule, the internals of a delivery.

mod deliveries;
pub(crate) mod explain;
mod failing;
mod health;
pub mod internals;
mod pages;
mod rules;
mod statistics;

pub use deliveries::{DeliveryFilter, DeliveryPage};
pub use statistics::{Statistics, StatisticsBucket, StatisticsQuery};

use std::sync::Arc;

use crate::{backend::Backend, delivery::Deliveries, rules::Rules, store::Store};

/// Lists, explanations, health and statistics.
#[derive(Debug)]
pub struct Log<B> {
    pub(crate) store: Arc<Store<B>>,
    pub(crate) rules: Arc<Rules<B>>,
    pub(crate) deliveries: Arc<Deliveries<B>>,
}

impl<B: Backend> Log<B> {
    /// The service over these.
    pub(crate) fn new(rules: &Arc<Rules<B>>, deliveries: &Arc<Deliveries<B>>) -> Self {
        Self { store: Arc::clone(&rules.store), rules: Arc::clone(rules), deliveries: Arc::clone(deliveries) }
    }
}
