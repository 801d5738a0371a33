//! A delivery that listens: it reads the requests that came for its step, oldest first, and goes on; or its time is over (W17, W18).
//!
//! A callback is stored before its sender is answered, and the delivery's row says that it listens before it looks for callbacks. The
//! later of the two finds the other: the sender's message finds the delivery listening, or the delivery finds the callback. A callback is
//! read by one write of the row that names it, so it is read once.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    answer::ExtractedData,
    caller::Owner,
    delivery::DeliveryId,
    flow::{CallbackTurn, Moved, Progress},
    request::{Method, Rendered, Timeout},
};

use super::{
    conclude::data_to_publish,
    flow::{InFlow, keep},
    outbox::publish_all,
    render::{Judged, Rendering, ShownResponse, masked, shown_request},
    sealed::Seal,
    walk::{AGAIN, Walker, next_step},
};
use crate::{
    backend::{Backend, Effects, Item, Key, Order, Partition, Range, Received, StoreError, Swap},
    delivery::{claim::delete_or_defer, owed::wake},
    keys,
    rows::{self, CallbackRow, DeliveryRow, IncomingRequest, LoggedRequest, ReadCallback, Task},
    rules::kept::KeptChange,
    store::Store,
};

/// The most callbacks of a run that are looked at.
const MAX_READ: usize = 64;
/// The most bytes of a callback's body that people see.
const SHOWN_BODY: usize = 4_096;
/// A callback whose body is longer is judged off the threads that serve everybody.
const LIGHT_BODY_BYTES: usize = 16 * 1_024;
/// The time that storing a callback takes at most, after which its step's time is over.
const GRACE: SignedDuration = SignedDuration::from_secs(5);
/// The time after the end of a wait for which its place among those that wait is kept.
const PLACE_KEPT: SignedDuration = SignedDuration::from_hours(24);

/// A callback that is to be read.
struct Callback {
    item: Item,
    row: CallbackRow,
    /// Its name: the end of its place.
    name: String,
}

/// A callback as it was read.
struct Read {
    judged: Judged,
    heard: ShownResponse,
    shown: LoggedRequest,
    /// The part of it to publish to the platform.
    to_publish: Option<ExtractedData>,
    row: DeliveryRow,
}

/// The row of a delivery that is to read a callback, or that has read the callback of the message and has not gone on; `None` if there is
/// nothing for it to do now.
pub(crate) async fn hears<B: Backend>(
    store: &Store<B>,
    received: &Received,
    delivery: &DeliveryId,
) -> Result<Option<DeliveryRow>, StoreError> {
    let Some((row, _)) = store.read_row::<DeliveryRow>(keys::delivery(delivery)).await? else { return Ok(None) };
    if row.read_by.as_ref() == Some(&received.id) {
        // The process died after this very message had read it: this message alone continues the flow, or publishes its end.
        return Ok(Some(row));
    }
    let is_looked_after = row.flow.as_deref().is_some_and(|flow| flow.until() != row.next_due);
    if is_looked_after && row.next_due.is_some_and(|due| due > store.now()) {
        // It waits for its rule, and looks again before long.
        return Ok(None);
    }
    let unread = match row.flow.as_deref().filter(|flow| flow.waits() && !row.state.is_ended()) {
        Some(flow) => next_callback(store, delivery, flow).await?,
        None => None,
    };
    Ok(unread.map(|_| row))
}

/// The oldest callback of the present run of a delivery's step that was not read.
async fn next_callback<B: Backend>(
    store: &Store<B>,
    delivery: &DeliveryId,
    place: &Progress,
) -> Result<Option<Callback>, StoreError> {
    let turn = CallbackTurn { step: &place.step, run: place.run(), serial: place.serial() };
    let prefix = keys::callbacks(delivery, &turn);
    let (partition, range) = (Partition::Table(prefix.partition), Range::prefix(&prefix.sort));
    let items = store.backend().query(&partition, &range, Order::Ascending, MAX_READ).await?;
    let unread = items.into_iter().filter_map(|item| {
        let name = item.key.sort.strip_prefix(&prefix.sort)?.to_owned();
        let row = if place.has_heard(&name) { None } else { store.readable::<CallbackRow>(&item) }?;
        Some(Callback { item, row, name })
    });
    // A callback that is shown as read, although the write of its delivery was cut off, is read first.
    Ok(unread.min_by_key(|callback| (callback.row.read.is_none(), callback.row.at)))
}

impl<B: Backend> Walker<'_, B> {
    /// Reads the next callback of a delivery that listens until then; if there is none, it waits on, or goes on where its time is over.
    pub(super) async fn listen(&self, flow: InFlow, attempts: u32, (until, why): (Timestamp, String)) -> Result<(), StoreError> {
        let store = &self.deliveries.store;
        let listening = self.known.filter(|(row, _)| {
            row.flow.as_deref().is_some_and(|before| {
                (&before.step, before.run()) == (&flow.progress.step, flow.progress.run())
                    && before.listens_until(&self.rule.definition.plan).is_some()
            })
        });
        let Some((row, _)) = listening else {
            // The row says that it listens before it looks for callbacks.
            return self.rest(&flow, attempts, (store.now(), why)).await;
        };
        let place = flow.progress.expects().map(|name| keys::awaiting_delivery(&self.rule.id, name, &self.owed.id));
        if let Some(key) = place.filter(|_| store.now() < until) {
            let mut item = rows::item(key, &());
            item.expires = Some(until + PLACE_KEPT);
            store.commit_one(Effects { put: vec![item], ..Effects::default() }).await?;
        }
        if let Some(callback) = next_callback(store, &self.owed.id, &flow.progress).await? {
            return self.read_callback(flow, attempts, callback).await;
        }
        let now = store.now();
        if now >= until + GRACE {
            let moved = self.rule.definition.plan.timed_out(flow.progress.clone(), attempts);
            return self.follow(&flow, row.clone(), (moved, None), None).await;
        }
        if now >= until {
            // A callback that was taken in time is stored by then.
            return self.defer_until(until + GRACE).await;
        }
        if row.next_due != Some(until) && self.write_place(&flow, attempts, (until, why)).await?.is_none() {
            return self.defer_until(now + AGAIN).await;
        }
        self.defer_until(until).await
    }

    /// Defers the delivery to a time: one message for each time, however many callbacks woke it.
    async fn defer_until(&self, at: Timestamp) -> Result<(), StoreError> {
        let mut effects = self.received.done();
        let task = Task::Wake { delivery: self.owed.id.clone() };
        wake(&mut effects, &task, self.owed, self.rule.definition.first_host(), at, self.deliveries.store.now());
        self.deliveries.store.commit_one(effects).await
    }

    async fn read_callback(&self, flow: InFlow, attempts: u32, callback: Callback) -> Result<(), StoreError> {
        let Self { deliveries, known, seal, .. } = *self;
        let Some((row, _)) = known else { return Ok(()) };
        let Callback { item, row: stored, name } = callback;
        let turn = CallbackTurn { step: &stored.step, run: stored.run, serial: flow.progress.serial() };
        let content = keys::callback_content(&self.owed.id, &turn, &name);
        let sealed = match stored.sealed.clone() {
            Some(sealed) => sealed,
            None => deliveries.store.read_row(content.clone()).await?.ok_or_else(|| no_content(&content))?.0,
        };
        let incoming = open(seal, row, &name, &sealed)?;
        let read = self.judged(flow.clone(), attempts, row.clone(), incoming).await;
        let plan = &self.rule.definition.plan;
        let moved = plan.after_callback(flow.progress.clone(), read.judged.answered(None, attempts), &name);
        let keep = keep(&read.judged.extracted.keep, &read.judged.extracted.variables, &read.judged.hidden);
        let forget = read.judged.forget.iter().filter_map(|name| Some((name.to_string(), flow.kept.get(&**name)?.clone())));
        let change = KeptChange { keep, forget: forget.collect(), release: None };
        deliveries.rules.change_kept(self.rule, &change).await?;
        let after = flow.moved(flow.progress.clone(), read.judged.variables_after(&flow.variables));
        let shown =
            ReadCallback { request: read.shown, verdict: read.judged.verdict.as_str().to_owned(), error: read.heard.error };
        let shown = CallbackRow { read: Some(shown), ..stored };
        let shown = Item { expires: item.expires, ..rows::item(item.key, &shown) };
        // Before it counts as read: nobody looks at it again after that.
        deliveries.store.commit_one(Effects { put: vec![shown], ..Effects::default() }).await?;
        self.follow(&after, read.row, (moved, read.to_publish), Some(content)).await
    }

    /// Judges a callback as a response is judged, off the threads that serve everybody if that may take time.
    async fn judged(&self, flow: InFlow, attempts: u32, mut row: DeliveryRow, incoming: IncomingRequest) -> Read {
        let (rule, owed, secrets, now) =
            (self.rule.clone(), self.owed.clone(), Arc::clone(self.secrets), self.deliveries.store.now());
        let is_heavy = rule.definition.is_heavy || incoming.body.len() > LIGHT_BODY_BYTES;
        let owner = is_heavy.then(|| owed.owner.clone());
        let judge = move || {
            let rendering =
                Rendering { flow: Some(&flow), ..Rendering::unclaimed(&rule, &owed, (&flow, attempts), &secrets, now) };
            let request = rendering.shown().ok();
            let scrubber = rendering.scrubber(request.as_ref(), rule.head.is_of_two_parties());
            let came = came(&incoming);
            let sent = masked(Ok(incoming.answer()), &scrubber);
            let (sent, judged) = rendering.read_at(sent, &came.url, request.as_ref(), &scrubber);
            let heard = rendering.heard(&sent, &judged, &scrubber);
            let is_of_two = rule.head.is_of_two_parties();
            let shows_query = !incoming.query.is_empty() && !is_of_two && heard.answer.is_some();
            let query = || rendering.shown_text(&incoming.query, &judged.variables_after(&flow.variables), is_of_two);
            let url = if shows_query { format!("?{}", query()) } else { String::new() };
            let body = heard.answer.clone().filter(|_| !incoming.body.is_empty()).map(String::into_bytes);
            let shown = shown_request(Rendered { url, headers: heard.answer_headers.clone(), body, ..came }, SHOWN_BODY);
            row.note_hidden(&judged.extracted.variables, &judged.hidden);
            let to_publish = data_to_publish(&mut row, &judged.extracted, &scrubber);
            Read { judged, heard, shown, to_publish, row }
        };
        self.deliveries.heavy.run(owner, judge).await
    }

    /// Writes the next place into the row, then removes the content that was read, publishes to the platform, and defers or deletes the
    /// message.
    async fn follow(
        &self,
        flow: &InFlow,
        mut row: DeliveryRow,
        (moved, to_publish): (Moved, Option<ExtractedData>),
        content: Option<Key>,
    ) -> Result<(), StoreError> {
        let Self { deliveries, received, owed, rule, seal, .. } = *self;
        let (store, now) = (&deliveries.store, deliveries.store.now());
        let rev = self.known.map(|(_, rev)| *rev);
        deliveries.publish_left(&row).await?;
        row.emitted.clear();
        let before = row.flow.clone();
        let (flow, goes_on) = match moved {
            Moved::Ended(state, reason) => {
                row.end(state, reason, now);
                (flow.clone(), true)
            }
            Moved::Again(progress, _) => (flow.moved(progress, flow.variables.clone()), false),
            Moved::On(progress) => {
                let flow = flow.moved(progress, flow.variables.clone());
                row.reason = Some(next_step(&flow));
                row.next_due = Some(now);
                (flow, true)
            }
        };
        flow.note(&rule.definition, seal, &mut row);
        row.read_by = Some(received.id.clone());
        row.fill_outbox(received, to_publish, now);
        let swap = Swap { key: keys::delivery(&owed.id), expect: rev, new: Some(store.delivery_item(&row)) };
        if !store.swap_one(swap).await.is_done()? {
            return self.defer_until(now + AGAIN).await;
        }
        let place =
            before.filter(|_| goes_on).and_then(|before| Some(keys::awaiting_delivery(&rule.id, before.expects()?, &owed.id)));
        let delete: Vec<Key> = place.into_iter().chain(content).collect();
        store.commit_one(Effects { delete, ..Effects::default() }).await?;
        publish_all(store, &row).await?;
        if row.state.is_ended() {
            tracing::info!(tracking_api_id = %rule.id, delivery_id = %owed.id, outcome = row.state.as_str(), "ended");
            store.tally.ended(row.state);
            return store.commit_one(delete_or_defer(deliveries, received, (owed, Some(&rule.definition)))).await;
        }
        self.defer_until(now).await
    }
}

/// A request from outside in the place of a sent request: answer rules look at its query.
fn came(incoming: &IncomingRequest) -> Rendered {
    Rendered {
        method: if incoming.method == "GET" { Method::Get } else { Method::Post },
        url: format!("http://callback/?{}", incoming.query),
        headers: Vec::new(),
        body: None,
        timeout: Timeout::default(),
    }
}

fn no_content(key: &Key) -> StoreError {
    StoreError::Corrupt { key: Some(key.clone()), why: "a callback has no content".to_owned() }
}

/// Opens a callback that was sealed when it came.
fn open(seal: &Seal, row: &DeliveryRow, name: &str, sealed: &str) -> Result<IncomingRequest, StoreError> {
    let opened = seal.open_callback(&row.owed.rule, name, sealed)?;
    serde_json::from_str(&opened).map_err(|error| StoreError::Corrupt { key: None, why: error.to_string() })
}

/// Adds the message that lets a delivery read the requests that came for it.
pub(crate) fn notify_delivery(effects: &mut Effects, delivery: &DeliveryId, owner: &Owner, now: Timestamp) {
    let task = Task::Heard { delivery: delivery.clone() };
    effects.send.push(super::message(&task, super::group_of(owner, "heard"), now));
}
