//! The port on AWS: get, query and swap on DynamoDB; commit on EventBridge, SQS and DynamoDB, in that order.

use aws_config::SdkConfig;
use jiff::SignedDuration;
use tracking_engine::{
    Clock,
    backend::{
        Backend, Effects, Item, Key, Message, Order, Partition, Published, Range, Receipt, Settle, Swap, Swapped, Unavailable,
    },
};

use crate::{
    bus::Bus,
    queues::Queues,
    settings::Settings,
    table::{Table, Write},
};

/// Table, queues and bus of one stack. A handle; clones share what they know.
#[derive(Debug, Clone)]
pub struct Aws {
    pub(crate) table: Table,
    pub(crate) queues: Queues,
    bus: Bus,
    clock: Clock,
}

impl Aws {
    /// The stack that these settings name.
    pub fn new(config: &SdkConfig, settings: &Settings, clock: Clock) -> Self {
        Self {
            table: Table::new(aws_sdk_dynamodb::Client::new(config), &settings.table),
            queues: Queues::new(aws_sdk_sqs::Client::new(config), settings),
            bus: Bus::new(aws_sdk_eventbridge::Client::new(config), &settings.bus),
            clock,
        }
    }
}

impl Backend for Aws {
    fn run(&self) -> u64 {
        // Processes share the store: none knows that another has ended.
        0
    }

    fn longest_wait(&self) -> SignedDuration {
        self.queues.longest_wait()
    }

    async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, Unavailable> {
        self.table.get(keys).await
    }

    async fn query(&self, partition: &Partition, range: &Range, order: Order, limit: usize) -> Result<Vec<Item>, Unavailable> {
        self.table.query(partition, range, order, limit).await
    }

    async fn swap(&self, swaps: Vec<Swap>) -> Vec<Swapped> {
        futures_util::future::join_all(swaps.into_iter().map(|swap| self.table.swap(swap))).await
    }

    async fn commit(&self, effects: Vec<Effects>) -> Vec<Result<(), Unavailable>> {
        let now = self.clock.now();
        let mut steps = Steps { outcomes: vec![Ok(()); effects.len()], effects: &effects };
        let events = steps.parts(|effects| effects.publish.iter());
        let published = self.bus.publish(events.iter().map(|(_, event)| *event).collect::<Vec<&Published>>());
        steps.note(&events, published.await);
        let messages = steps.parts(|effects| effects.send.iter());
        let sent = self.queues.send(messages.iter().map(|(_, message)| *message).collect::<Vec<&Message>>(), now);
        steps.note(&messages, sent.await);
        let writes = steps.parts(|effects| {
            let puts = effects.put.iter().map(Write::put);
            puts.chain(effects.delete.iter().cloned().map(Write::Delete))
        });
        let (owners, writes): (Vec<_>, Vec<_>) = writes.into_iter().map(|(owner, write)| ((owner, ()), write)).unzip();
        steps.note(&owners, self.table.write(writes).await);
        let again = steps.parts(|effects| {
            effects.settle.iter().filter_map(|settle| match settle {
                Settle::Again(receipt, at) => Some((receipt, *at)),
                Settle::Done(_) => None,
            })
        });
        let settled = self.queues.again(again.iter().map(|(_, again)| *again).collect::<Vec<(&Receipt, _)>>(), now);
        steps.note(&again, settled.await);
        for (_, receipt) in steps.parts(|effects| effects.settle.iter()) {
            if let Settle::Done(receipt) = receipt {
                self.queues.done(receipt.clone());
            }
        }
        steps.outcomes
    }
}

/// Steps that take effect part by part: what fails in one part has no further part.
struct Steps<'a> {
    effects: &'a [Effects],
    outcomes: Vec<Result<(), Unavailable>>,
}

impl<'a> Steps<'a> {
    /// One part of each step that has not failed, with the number of its step.
    fn parts<T, I: Iterator<Item = T>>(&self, part: impl Fn(&'a Effects) -> I) -> Vec<(usize, T)> {
        let good = self.effects.iter().enumerate().filter(|(step, _)| self.outcomes[*step].is_ok());
        good.flat_map(|(step, effects)| part(effects).map(move |part| (step, part))).collect()
    }

    /// Notes what became of parts.
    fn note<T>(&mut self, parts: &[(usize, T)], outcomes: Vec<Result<(), Unavailable>>) {
        for ((step, _), outcome) in parts.iter().zip(outcomes) {
            if let (Ok(()), Err(error)) = (&self.outcomes[*step], outcome) {
                self.outcomes[*step] = Err(error);
            }
        }
    }
}
