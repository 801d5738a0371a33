//! Deriving events from a change (R1–R10), including `AutoApprove` and `AutoSet`.

use std::sync::Arc;

use super::{Event, EventKind};
use crate::change::{Change, ChangeKind, Conversion, Transaction, TransactionResult};

impl Change {
    /// The elementary events of this change, in the order in which their postbacks are sent (P3): created before updated, the
    /// conversion's before its transactions', those in the order given. Empty if nothing changed (R10).
    pub fn events(&self) -> Vec<Event> {
        let conversion = Arc::new(self.conversion.clone());
        let event = |kind, transaction: Option<Transaction>, is_final| Event {
            change_id: self.change_id.clone(),
            occurred_at: self.occurred_at,
            causation: self.causation.clone(),
            kind,
            conversion: Arc::clone(&conversion),
            transaction,
            is_final,
            is_correction: false,
        };
        let mut events = Vec::new();
        match self.conversion.change {
            ChangeKind::Created => events.push(event(EventKind::ConversionCreated, None, self.has_final_results())),
            ChangeKind::Updated => events.push(event(EventKind::ConversionUpdated, None, self.has_final_results())),
            ChangeKind::Unchanged => {}
        }
        for transaction in &self.transactions {
            for (kind, transaction) in transaction_events(transaction, &self.conversion) {
                let is_final = transaction.result.is_final();
                events.push(event(kind, Some(transaction), is_final));
            }
        }
        events.sort_by_key(|event| event.kind);
        events
    }
}

/// The events of one transaction, each with the transaction's state at that event.
fn transaction_events(transaction: &Transaction, conversion: &Conversion) -> Vec<(EventKind, Transaction)> {
    let created = || (EventKind::TransactionCreated, transaction.clone());
    let updated = || (EventKind::TransactionUpdated, transaction.clone());
    let change = transaction.change_in(conversion);
    if transaction.auto_approved {
        // The result was set on creation: no update follows, unless the platform names one (R5), or the result is another now.
        return match (transaction.change, change) {
            (_, ChangeKind::Created) => vec![created()],
            (Some(ChangeKind::Updated), _) => vec![updated()],
            (None, ChangeKind::Updated) if transaction.has_another_result() => vec![updated()],
            _ => vec![],
        };
    }
    if transaction.auto_set {
        // A result that was set is an update of its own (R6), unless the platform says that nothing changed.
        return match (transaction.change, change) {
            (_, ChangeKind::Created) => {
                vec![
                    (EventKind::TransactionCreated, before_auto_set(transaction)),
                    (EventKind::TransactionUpdated, after_auto_set(transaction)),
                ]
            }
            (Some(ChangeKind::Unchanged), _) => vec![],
            _ => vec![updated()],
        };
    }
    match change {
        ChangeKind::Created => vec![created()],
        ChangeKind::Updated => vec![updated()],
        ChangeKind::Unchanged => vec![],
    }
}

/// A new transaction as it was before `AutoSet` gave it its result.
fn before_auto_set(transaction: &Transaction) -> Transaction {
    Transaction { result: TransactionResult::Pending, previous_result: None, result_at: None, ..transaction.clone() }
}

/// The same transaction with its result. Its previous result is pending, unless the platform says otherwise.
fn after_auto_set(transaction: &Transaction) -> Transaction {
    let previous_result = transaction.previous_result.or(Some(TransactionResult::Pending));
    Transaction { previous_result, ..transaction.clone() }
}
