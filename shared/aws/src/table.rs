//! The table: reads that are gathered into one call, compare-and-set of single items, writes in batches.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::{DeleteRequest, KeysAndAttributes, PutRequest, ReturnValuesOnConditionCheckFailure, WriteRequest},
};
use futures_util::future::join_all;
use tokio::{sync::oneshot, time::sleep};
use tracking_core::batches::batches;
use tracking_engine::{
    backend::{Item, Key, Order, Partition, Range, StoreError, Swap, Swapped},
    random,
};

use crate::{
    items::{self, Attributes},
    limits,
};

/// The number of tries for a batch that DynamoDB took in part only.
const TRIES: u32 = 6;
/// The pause before the first repetition; each further pause is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// The condition of a swap.
const HAS_REV: &str = "rev = :rev";
const IS_ABSENT: &str = "attribute_not_exists(pk)";

/// The keys that a task asked for, and the sender of the answer.
type Waiting = (Vec<Key>, oneshot::Sender<Result<Vec<Option<Item>>, StoreError>>);

/// The one table. Clones share the reads that wait.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    client: Client,
    name: Arc<str>,
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

/// An item to write or a key to remove.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Write {
    Put(Attributes),
    Delete(Key),
}

impl Table {
    pub(crate) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.into(), waiting: Arc::default() }
    }

    /// Reads items by key, strongly consistent. Keys that several tasks ask for at once are read in one call.
    pub(crate) async fn get(&self, keys: &[Key]) -> Result<Vec<Option<Item>>, StoreError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        let first = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.push((keys.to_vec(), reply));
            waiting.len() == 1
        };
        if first {
            // A task of its own, since the first caller may be dropped and others wait too. It runs after all ready tasks have asked.
            let table = self.clone();
            tokio::spawn(async move { table.answer().await });
        }
        answer.await.unwrap_or_else(|_| Err(StoreError::Unavailable("a read was given up".to_owned())))
    }

    /// Reads the keys of all waiting tasks.
    async fn answer(&self) {
        tokio::task::yield_now().await;
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut keys: Vec<Key> = waiting.iter().flat_map(|(keys, _)| keys).cloned().collect();
        keys.sort_unstable();
        keys.dedup();
        let read = self.read(keys).await;
        for (keys, reply) in waiting {
            let answer = match &read {
                Ok(items) => keys.iter().map(|key| items.get(key).cloned().transpose()).collect(),
                Err(error) => Err(error.clone()),
            };
            // The asking task may be gone.
            drop(reply.send(answer));
        }
    }

    async fn read(&self, keys: Vec<Key>) -> Result<HashMap<Key, Result<Item, StoreError>>, StoreError> {
        let calls = batches(keys, limits::KEYS, usize::MAX, |_| 0);
        let read = join_all(calls.into_iter().map(|keys| self.read_call(keys))).await;
        let mut items = HashMap::new();
        for call in read {
            items.extend(call?);
        }
        Ok(items)
    }

    /// Makes one call, and repeats it for the unprocessed keys. An unreadable item is an error only for the tasks that asked for it.
    async fn read_call(&self, keys: Vec<Key>) -> Result<Vec<(Key, Result<Item, StoreError>)>, StoreError> {
        let mut asked: Vec<Attributes> = keys.iter().map(items::key).collect();
        let mut found = Vec::new();
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            let request = KeysAndAttributes::builder().set_keys(Some(asked)).consistent_read(true).build();
            let request = request.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            let answer = self.client.batch_get_item().request_items(&*self.name, request).send().await;
            let answer = answer.map_err(|error| unavailable(&error))?;
            let items = answer.responses.unwrap_or_default().remove(&*self.name).unwrap_or_default();
            for item in &items {
                found.extend(read_key(item).map(|key| (key, items::item(item))));
            }
            let left = answer.unprocessed_keys.unwrap_or_default().remove(&*self.name);
            asked = left.map(|left| left.keys).unwrap_or_default();
            if asked.is_empty() {
                return Ok(found);
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err(StoreError::Unavailable("the table answers a part of what it is asked for only".to_owned()))
    }

    /// Implements [`Backend::query`](tracking_engine::backend::Backend::query).
    pub(crate) async fn query(
        &self,
        partition: &Partition,
        range: &Range,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Item>, StoreError> {
        let from = range.from.as_deref().filter(|from| !from.is_empty());
        let before = range.before.as_deref();
        if limit == 0 || before.is_some_and(|before| before.is_empty() || from.is_some_and(|from| before <= from)) {
            return Ok(Vec::new());
        }
        let (name, index, hash, sort) = match partition {
            Partition::Table(name) => (name, None, items::PARTITION, items::SORT),
            Partition::Attention(name) => (name, Some("trouble"), items::ATTENTION_PARTITION, items::ATTENTION_SORT),
        };
        let bounds = bounds(from, before);
        let mut found = Vec::new();
        let mut begin = None;
        loop {
            let wanted = i32::try_from(limit - found.len() + usize::from(from.is_some())).unwrap_or(i32::MAX);
            let mut request = self
                .client
                .query()
                .table_name(&*self.name)
                .set_index_name(index.map(str::to_owned))
                .consistent_read(index.is_none())
                .key_condition_expression(format!("#p = :p{bounds}"))
                .expression_attribute_names("#p", hash)
                .expression_attribute_values(":p", items::text(name))
                .scan_index_forward(order == Order::Ascending)
                .limit(wanted)
                .set_exclusive_start_key(begin);
            if !bounds.is_empty() {
                request = request.expression_attribute_names("#s", sort);
            }
            for (name, bound) in [(":from", from), (":before", before)] {
                if let Some(bound) = bound {
                    request = request.expression_attribute_values(name, items::text(bound));
                }
            }
            let answer = request.send().await.map_err(|error| unavailable(&error))?;
            for item in answer.items() {
                let item = items::item(item)?;
                let place = if index.is_some() { item.attention.as_ref().map_or("", |key| &key.sort) } else { &item.key.sort };
                if before.is_none_or(|before| place < before) {
                    found.push(item);
                }
            }
            begin = answer.last_evaluated_key.filter(|key| !key.is_empty());
            if found.len() >= limit || begin.is_none() {
                found.truncate(limit);
                return Ok(found);
            }
        }
    }

    /// Compares and sets one item.
    pub(crate) async fn swap(&self, swap: Swap) -> Swapped {
        let outcome = match (&swap.new, swap.expect) {
            (Some(new), expect) => self.replace(new, expect).await,
            (None, Some(rev)) => self.remove(&swap.key, rev).await,
            (None, None) => self.get(&[swap.key]).await.map(|mut found| match found.pop().flatten() {
                None => Swapped::Done,
                stored => Swapped::Conflict(stored),
            }),
        };
        outcome.unwrap_or_else(Swapped::Unavailable)
    }

    async fn replace(&self, new: &Item, expect: Option<u64>) -> Result<Swapped, StoreError> {
        let write = format!("{:016x}", random());
        let mut attributes = items::attributes(new, expect.map_or(1, |rev| rev + 1));
        attributes.insert(items::WRITE.to_owned(), items::text(&write));
        let mut request = self
            .client
            .put_item()
            .table_name(&*self.name)
            .set_item(Some(attributes))
            .condition_expression(if expect.is_some() { HAS_REV } else { IS_ABSENT })
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(rev) = expect {
            request = request.expression_attribute_values(":rev", items::number(rev));
        }
        match request.send().await {
            Ok(_) => Ok(Swapped::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let stored = failed.item().filter(|item| !item.is_empty());
                    // The call was repeated because its answer was lost: the item in the table is its own write.
                    let own = |item: &Attributes| item.get(items::WRITE).and_then(|w| w.as_s().ok()) == Some(&write);
                    if stored.is_some_and(own) {
                        return Ok(Swapped::Done);
                    }
                    Ok(Swapped::Conflict(stored.map(items::item).transpose()?))
                }
                _ => Err(unavailable(&error)),
            },
        }
    }

    async fn remove(&self, key: &Key, rev: u64) -> Result<Swapped, StoreError> {
        let request = self
            .client
            .delete_item()
            .table_name(&*self.name)
            .set_key(Some(items::key(key)))
            .condition_expression(HAS_REV)
            .expression_attribute_values(":rev", items::number(rev))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match request.send().await {
            Ok(_) => Ok(Swapped::Done),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                    let stored = failed.item().filter(|item| !item.is_empty());
                    Ok(Swapped::Conflict(stored.map(items::item).transpose()?))
                }
                _ => Err(unavailable(&error)),
            },
        }
    }

    /// Writes in batches. Returns for each write, in order, the outcome. Of several writes of one key the last one counts.
    pub(crate) async fn write(&self, writes: Vec<Write>) -> Vec<Result<(), StoreError>> {
        let keys: Vec<Key> = writes.iter().map(Write::key).collect();
        let mut last: HashMap<Key, Write> = HashMap::with_capacity(writes.len());
        for (key, write) in keys.iter().zip(writes) {
            last.insert(key.clone(), write);
        }
        let mut taken = HashSet::new();
        let once = keys.iter().filter(|key| taken.insert(*key)).filter_map(|key| last.remove(key)).collect();
        let calls = batches(once, limits::WRITES, limits::WRITES_BYTES, Write::size);
        let failed: Vec<(Key, StoreError)> =
            join_all(calls.into_iter().map(|call| self.write_call(call))).await.into_iter().flatten().collect();
        let failed: HashMap<Key, StoreError> = failed.into_iter().collect();
        keys.iter().map(|key| failed.get(key).map_or(Ok(()), |error| Err(error.clone()))).collect()
    }

    /// Makes one call, and repeats it for the unprocessed writes. Returns the keys that were not written.
    async fn write_call(&self, writes: Vec<Write>) -> Vec<(Key, StoreError)> {
        let failed = |writes: &[Write], error: StoreError| writes.iter().map(|write| (write.key(), error.clone())).collect();
        let mut left = writes;
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            let requests = left.iter().map(Write::request).collect::<Result<Vec<_>, _>>();
            let requests = match requests {
                Ok(requests) => requests,
                Err(error) => return failed(&left, StoreError::Unavailable(error.to_string())),
            };
            let answer = self.client.batch_write_item().request_items(&*self.name, requests).send().await;
            let unprocessed = match answer {
                Ok(answer) => answer.unprocessed_items.unwrap_or_default().remove(&*self.name).unwrap_or_default(),
                // An invalid item makes DynamoDB refuse the whole call: each item is then written alone.
                Err(error) if error.code() == Some("ValidationException") && left.len() > 1 => {
                    let alone = left.into_iter().map(|write| Box::pin(self.write_call(vec![write])));
                    return join_all(alone).await.into_iter().flatten().collect();
                }
                Err(error) => return failed(&left, unavailable(&error)),
            };
            let keys: HashSet<Key> = unprocessed.iter().filter_map(key_of).collect();
            left.retain(|write| keys.contains(&write.key()));
            if left.is_empty() {
                return Vec::new();
            }
            sleep(pause).await;
            pause *= 2;
        }
        failed(&left, StoreError::Unavailable("the table takes a part of what it is given only".to_owned()))
    }
}

impl Write {
    /// Makes a write of an item, unconditional.
    pub(crate) fn put(item: &Item, rev: u64) -> Self {
        Self::Put(items::attributes(item, rev))
    }

    fn key(&self) -> Key {
        match self {
            Self::Put(attributes) => read_key(attributes).unwrap_or_else(|| Key::new("", "")),
            Self::Delete(key) => key.clone(),
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Put(attributes) => items::size(attributes),
            Self::Delete(key) => key.partition.len() + key.sort.len() + 16,
        }
    }

    fn request(&self) -> Result<WriteRequest, aws_sdk_dynamodb::error::BuildError> {
        let request = WriteRequest::builder();
        Ok(match self {
            Self::Put(item) => request.put_request(PutRequest::builder().set_item(Some(item.clone())).build()?),
            Self::Delete(key) => request.delete_request(DeleteRequest::builder().set_key(Some(items::key(key))).build()?),
        }
        .build())
    }
}

/// Returns a revision that no reader has seen before.
pub(crate) fn new_rev() -> u64 {
    random() >> 2
}

fn key_of(request: &WriteRequest) -> Option<Key> {
    let put = request.put_request.as_ref().map(|put| &put.item);
    read_key(put.or(request.delete_request.as_ref().map(|delete| &delete.key))?)
}

fn read_key(attributes: &Attributes) -> Option<Key> {
    let text = |name: &str| attributes.get(name).and_then(|value| value.as_s().ok()).cloned();
    Some(Key::new(text(items::PARTITION)?, text(items::SORT)?))
}

/// Converts an error of a call: AWS's code and message, or the reason for which there was no answer.
pub(crate) fn unavailable<E, R>(error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata,
    SdkError<E, R>: std::error::Error,
{
    let metadata = error.as_service_error().map(ProvideErrorMetadata::meta);
    StoreError::Unavailable(match metadata.and_then(|metadata| metadata.code()) {
        Some(code) => format!("{code}: {}", metadata.and_then(|metadata| metadata.message()).unwrap_or_default()),
        None => chain(error),
    })
}

/// Returns an error's text with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Returns the condition for the place inside the partition.
fn bounds(from: Option<&str>, before: Option<&str>) -> &'static str {
    match (from, before) {
        (None, None) => "",
        (Some(_), None) => " AND #s >= :from",
        (None, Some(_)) => " AND #s < :before",
        // DynamoDB allows one condition for the place, and this one includes its end.
        (Some(_), Some(_)) => " AND #s BETWEEN :from AND :before",
    }
}
