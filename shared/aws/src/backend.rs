//! The port on AWS: get, query and swap on DynamoDB; commit part by part on DynamoDB, EventBridge and SQS.

use std::collections::HashMap;

use aws_config::SdkConfig;
use jiff::{SignedDuration, Timestamp};
use tracking_engine::{
    Clock,
    backend::{
        Ack, Backend, Effects, Item, Key, Lane, Message, Order, Partition, Published, Range, Receipt, StoreError, Swap, Swapped,
    },
};

use crate::{
    bus::{Bus, Refusal},
    queues::Queues,
    settings::Settings,
    table::{self, Table, Write},
};

/// Table, queues and bus of one stack. A handle; clones share their state.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) table: Table,
    pub(crate) queues: Queues,
    bus: Bus,
    clock: Clock,
}

impl Aws {
    /// Makes the backend of the stack that these settings name.
    pub fn new(config: &SdkConfig, settings: &Settings, clock: Clock) -> Self {
        Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(config), &settings.table),
            queues: Queues::new(aws_sdk_sqs::Client::new(config), settings),
            bus: Bus::new(config, &settings.bus),
            clock,
        }
    }
}

impl Backend for Aws {
    fn incarnation(&self) -> u64 {
        // Processes share the store, and none knows that another has ended.
        0
    }

    fn is_transactional(&self) -> bool {
        false
    }

    fn longest_wait(&self) -> SignedDuration {
        self.queues.longest_wait()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        self.table.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, StoreError> {
        self.table.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        futures_util::future::join_all(swaps.into_iter().map(|swap| self.table.swap(swap))).await
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), StoreError>> {
        let now = self.clock.now();
        let mut steps = Steps { outcomes: vec![Ok(()); effects.len()], effects: &effects };
        let replaced = effects.iter().flat_map(|effects| &effects.put_published);
        let revs: HashMap<&Key, u64> = replaced.map(|item| (&item.key, table::new_rev())).collect();
        let put = |item| Write::put(item, revs.get(&item.key).copied().unwrap_or_else(table::new_rev));
        // Boxed, since the futures of the parts are large, and so would be the caller's future. A step without acks sends its messages
        // first: nothing would repeat the step, but its messages repeat it once they are sent.
        Box::pin(self.send(&mut steps, now, |effects| effects.acks.is_empty())).await;
        Box::pin(self.write(&mut steps, |effects| effects.put.iter().map(put))).await;
        Box::pin(self.publish(&mut steps, now)).await;
        Box::pin(self.replace(&mut steps, &revs)).await;
        Box::pin(self.send(&mut steps, now, |effects| !effects.acks.is_empty())).await;
        Box::pin(self.write(&mut steps, |effects| effects.delete.iter().cloned().map(Write::Delete))).await;
        Box::pin(self.ack(&mut steps, now)).await;
        steps.outcomes
    }
}

impl Aws {
    /// Sends the messages of the steps that `of` accepts.
    async fn send(&self, steps: &mut Steps<'_>, now: Timestamp, of: impl Fn(&Effects) -> bool) {
        let messages = steps.parts(|effects| effects.send.iter().filter(|_| of(effects)));
        let sent = self.queues.send(messages.iter().map(|(_, message)| *message).collect::<Vec<&Message>>(), now);
        steps.note(&messages, sent.await);
    }

    /// Writes or removes items.
    async fn write<'a, I: Iterator<Item = Write>>(&self, steps: &mut Steps<'a>, part: impl Fn(&'a Effects) -> I) {
        let (owners, writes): (Vec<_>, Vec<_>) = steps.parts(part).into_iter().map(|(owner, write)| ((owner, ()), write)).unzip();
        steps.note(&owners, self.table.write(writes).await);
    }

    /// Writes items in place of those that were put with these revisions. An item that another process has written since stays.
    async fn replace(&self, steps: &mut Steps<'_>, revs: &HashMap<&Key, u64>) {
        let items = steps.parts(|effects| effects.put_published.iter());
        let swap = |item: &Item| Swap { key: item.key.clone(), expect: revs.get(&item.key).copied(), new: Some(item.clone()) };
        let swapped = self.swap(items.iter().map(|(_, item)| swap(item)).collect()).await;
        steps.note(&items, swapped.into_iter().map(|swapped| swapped.is_done().map(drop)).collect());
    }

    /// Publishes events. An event that the bus refuses for now goes to the queue, one that it refuses for good to the dead letters.
    async fn publish(&self, steps: &mut Steps<'_>, now: Timestamp) {
        let events = steps.parts(|effects| effects.publish.iter());
        let published = self.bus.publish(events.iter().map(|(_, event)| *event).collect::<Vec<&Published>>()).await;
        let mut again: Vec<(usize, Message)> = Vec::new();
        for ((step, event), outcome) in events.into_iter().zip(published) {
            let (offer, reason) = match outcome {
                Ok(()) => continue,
                Err(Refusal::ForNow(error)) => (event.offered_again(now), error.to_string()),
                Err(Refusal::ForGood(reason)) => (None, reason),
            };
            let detail_type = &event.detail_type;
            if let Some(message) = offer {
                tracing::warn!(%detail_type, reason, "the bus refuses an event: it is offered again");
                again.push((step, message));
            } else {
                tracing::error!(%detail_type, reason, "the bus will not take an event: it was dead-lettered");
                let kept = self.queues.dead_letter(Lane::Retry, &event.as_message(), &reason).await;
                steps.note(&[(step, ())], vec![kept]);
            }
        }
        let sent = self.queues.send(again.iter().map(|(_, message)| message).collect(), now);
        steps.note(&again, sent.await);
    }

    /// Acks messages: defers or deletes them.
    async fn ack(&self, steps: &mut Steps<'_>, now: Timestamp) {
        let again = steps.parts(|effects| {
            effects.acks.iter().filter_map(|ack| match ack {
                Ack::Defer(receipt, at) => Some((receipt, *at)),
                Ack::Delete(_) => None,
            })
        });
        let deferred = self.queues.defer(again.iter().map(|(_, again)| *again).collect::<Vec<(&Receipt, _)>>(), now);
        steps.note(&again, deferred.await);
        for (_, receipt) in steps.parts(|effects| effects.acks.iter()) {
            if let Ack::Delete(receipt) = receipt {
                self.queues.done(receipt.clone());
            }
        }
    }
}

/// Steps that take effect part by part: a step that failed in one part has no further part.
struct Steps<'a> {
    effects: &'a [Effects],
    outcomes: Vec<Result<(), StoreError>>,
}

impl<'a> Steps<'a> {
    /// Returns one part of each step that has not failed, with the number of its step.
    fn parts<T, I: Iterator<Item = T>>(&self, part: impl Fn(&'a Effects) -> I) -> Vec<(usize, T)> {
        let good = self.effects.iter().enumerate().filter(|(step, _)| self.outcomes[*step].is_ok());
        good.flat_map(|(step, effects)| part(effects).map(move |part| (step, part))).collect()
    }

    /// Notes the outcomes of parts.
    fn note<T>(&mut self, parts: &[(usize, T)], outcomes: Vec<Result<(), StoreError>>) {
        for ((step, _), outcome) in parts.iter().zip(outcomes) {
            if let (Ok(()), Err(error)) = (&self.outcomes[*step], outcome) {
                self.outcomes[*step] = Err(error);
            }
        }
    }
}
