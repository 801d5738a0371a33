//! Requests from outside for steps that listen: callbacks by their token, webhooks by a value in their content (W17, W18).
//!
//! Their senders have no account here. A token that is not ours is refused before anything is read; an accepted request is stored before
//! its sender is answered.

mod share;

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
};

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    delivery::DeliveryId,
    flow::{CallbackTurn, Incoming, MAX_CALLBACKS, Progress},
    limit::Exceeded,
    template::Steps,
};

use crate::{
    backend::{Backend, Effects, Item, Order, Partition, Range, StoreError, Swap},
    delivery::{Deliveries, callback_urls::Token, listen::notify_delivery, sealed::seal_callback},
    keys,
    refused::Refused,
    rows::{self, CallbackRow, DeliveryRow, IncomingRequest},
    rules::Rule,
    secrets::SealingKey,
    store::Store,
};
use share::{CallbackShares, REQUEST_BYTES};

/// The most deliveries that take one webhook (W18).
const MAX_MATCHED: usize = 20;
/// The deliveries for which one webhook is stored at once: each holds its content several times.
const AT_ONCE: usize = 4;
/// The most waiting deliveries that are looked at for one webhook.
const MAX_LOOKED_AT: usize = 100;
/// The longest time between a callback and the step that reads it: as long as a flow lasts.
const LONGEST_FLOW: SignedDuration = SignedDuration::from_hours(24 * 120);
/// The digits of a webhook's id.
const WEBHOOK_DIGITS: usize = 32;
/// The time for which a repeat of a webhook is recognized.
const TAKEN_KEPT: SignedDuration = SignedDuration::from_hours(72);
/// The `Retry-After` for a sender of too many callbacks, in seconds.
const RETRY_AFTER_SECONDS: u32 = 60;

/// The most bytes of requests that are stored for one run of a step.
const MAX_RUN_BYTES: usize = 256 * 1_024;

/// A callback that may be taken, and its rule.
#[derive(Debug)]
pub struct Callback(Token, Rule);

/// A webhook that may be taken.
#[derive(Debug)]
pub struct Webhook(Rule);

/// Takes requests from outside.
#[derive(Debug)]
pub struct Callbacks<B> {
    store: Arc<Store<B>>,
    deliveries: Arc<Deliveries<B>>,
    shares: CallbackShares,
}

impl<B: Backend> Callbacks<B> {
    /// The service over these.
    pub(crate) fn new(deliveries: &Arc<Deliveries<B>>) -> Self {
        Self { store: Arc::clone(&deliveries.store), deliveries: Arc::clone(deliveries), shares: CallbackShares::default() }
    }

    /// The callback that a token names. `None`, without a read, if the token is not ours. It is paid for from the share of the rule's
    /// owner, before its body is read.
    ///
    /// # Errors
    /// The rule is switched off, the owner's share is used up, or the store is unavailable.
    pub async fn find(&self, token: &str) -> Result<Option<Callback>, Refused> {
        let Some(token) = Token::read(&*self.deliveries.rules.sealing_key().await?, token) else { return Ok(None) };
        self.shares.check(token.rule.as_str(), self.store.now())?;
        let rule = self.deliveries.rules.read_rule(&token.rule).await?.map(|(rule, _)| rule).filter(|rule| rule.head.live);
        let rule = rule.ok_or_else(|| gone("the Tracking API is switched off or deleted"))?;
        self.pay(&rule, REQUEST_BYTES)?;
        Ok(Some(Callback(token, rule)))
    }

    /// Pays for bytes from the share of a rule's owner.
    fn pay(&self, rule: &Rule, bytes: usize) -> Result<(), Refused> {
        let now = self.store.now();
        self.shares.take(&rule.head.owner, bytes, now).inspect_err(|_| {
            for id in [Some(rule.id.as_str()), rule.head.webhook.as_deref()].into_iter().flatten() {
                self.shares.refuse(id, now);
            }
        })?;
        Ok(())
    }

    /// Takes a callback (W17). A repeat is taken again, and changes nothing.
    ///
    /// # Errors
    /// The step is over, the proof is missing, the owner's share is used up, or the step has had [`MAX_CALLBACKS`] callbacks or 256 KiB.
    pub async fn take(&self, Callback(token, rule): &Callback, request: IncomingRequest) -> Result<(), Refused> {
        self.pay(rule, request.body.len())?;
        let listen = rule.definition.plan.listen(&token.step).ok_or_else(|| gone("the Tracking API has no such step"))?;
        if listen.verifies() {
            let judged = self.judged(rule, std::slice::from_ref(&token.step), &request).await?;
            proven(judged.first().and_then(|judged| judged.is_proven))?;
        }
        self.accept(rule, &token.delivery, token.turn(), &Content::of(&request)).await
    }

    /// The webhook of this id, if a rule has it. A text that can't be such an id is not looked for. It is paid for from the share of the
    /// rule's owner, before its body is read.
    ///
    /// # Errors
    /// The owner's share is used up, or the store is unavailable.
    pub async fn find_webhook(&self, webhook: &str) -> Result<Option<Webhook>, Refused> {
        let digits = webhook.strip_prefix("whk_").unwrap_or_default();
        if digits.len() != WEBHOOK_DIGITS || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(None);
        }
        self.shares.check(webhook, self.store.now())?;
        let Some(item) = self.store.get_one(keys::webhook(webhook)).await? else { return Ok(None) };
        let rule = self.deliveries.rules.read_rule(&rows::read_item(&item)?).await?.map(|(rule, _)| rule);
        let rule = rule.filter(|rule| rule.head.live && rule.head.webhook.as_deref() == Some(webhook));
        rule.map(|rule| self.pay(&rule, REQUEST_BYTES).map(|()| Webhook(rule))).transpose()
    }

    /// Takes a webhook of a rule for every delivery that waits for its value (W18). Returns the number of these deliveries. A
    /// repeat for which none waits any more gets the first answer again.
    ///
    /// # Errors
    /// The proof is missing, no delivery waits for it, or one of those that wait can't take more now: its sender is to repeat it.
    pub async fn take_webhook(&self, Webhook(rule): &Webhook, request: IncomingRequest) -> Result<usize, Refused> {
        self.pay(rule, request.body.len())?;
        let steps: Vec<String> = rule.definition.plan.webhooks().map(|(step, _)| step.to_owned()).collect();
        let judged = self.judged(rule, &steps, &request).await?;
        let is_proven = |judged: &Judged| judged.is_proven == Some(true);
        if !judged.iter().any(is_proven) {
            let unknown = judged.iter().any(|judged| judged.is_proven.is_none());
            proven(if unknown { None } else { Some(false) })?;
        }
        let content = Content::of(&request);
        let (mut taken, mut full) = (0, None);
        for name in judged.into_iter().filter(is_proven).filter_map(|judged| judged.awaited) {
            let waiting = self.awaiting(rule, &name).await?;
            for some in waiting.chunks(AT_ONCE) {
                let accepted = some.iter().map(|(id, step, run, serial)| {
                    let turn = CallbackTurn { step, run: *run, serial: *serial };
                    self.accept(rule, id, turn, &content)
                });
                for outcome in join_all(accepted).await {
                    match outcome {
                        Ok(()) => taken += 1,
                        Err(Refused::Unavailable(error)) => return Err(error.into()),
                        Err(Refused::TooMany(exceeded)) => full = Some(exceeded),
                        Err(_) => {}
                    }
                }
            }
        }
        if let Some(exceeded) = full {
            // Those that took it know it when it comes again.
            return Err(exceeded.into());
        }
        let key = keys::webhook_taken(&rule.id, &content.name);
        let before = self.store.read_row::<usize>(key.clone()).await?.map(|(before, _)| before);
        if taken == 0 {
            return before.ok_or(Refused::NotFound);
        }
        if before != Some(taken) {
            let expires = Some(self.store.now() + TAKEN_KEPT);
            let put = vec![Item { expires, ..rows::item(key, &taken) }];
            self.store.commit_one(Effects { put, ..Effects::default() }).await?;
        }
        Ok(taken)
    }

    /// The meaning of a request for the rule's steps, off the threads that serve everybody and in its owner's turn.
    async fn judged(&self, rule: &Rule, steps: &[String], request: &IncomingRequest) -> Result<Vec<Judged>, StoreError> {
        let secrets = self.secrets(rule).await?;
        let (owner, now) = (rule.head.owner.clone(), self.store.now());
        let (rule, names, request) = (rule.clone(), steps.to_vec(), request.clone());
        let judge = move || {
            let (answer, steps) = (request.answer().read_raw(), Steps::default());
            let incoming = Incoming { answer: &answer, secrets: &secrets, rule: rule.id.as_str(), now, steps: &steps };
            let judge = |name: &String| {
                let listen = rule.definition.plan.listen(name)?;
                Some(Judged { is_proven: listen.accepts(&incoming), awaited: listen.awaited_by(name, &incoming) })
            };
            names.iter().filter_map(judge).collect()
        };
        Ok(self.deliveries.heavy.run(Some(owner), judge).await)
    }

    /// The deliveries that wait under a name, each with the step, the run and the serial that it waits at.
    async fn awaiting(&self, rule: &Rule, name: &str) -> Result<Vec<(DeliveryId, String, u32, u32)>, StoreError> {
        let partition = Partition::Table(keys::awaiting(&rule.id, name));
        let items = self.store.backend().query(&partition, &Range::default(), Order::Ascending, MAX_LOOKED_AT).await?;
        let ids: Vec<DeliveryId> = items.iter().filter_map(|item| DeliveryId::parse(&item.key.sort)).collect();
        let keys: Vec<_> = ids.iter().map(keys::delivery).collect();
        let rows = self.store.get_all(&keys).await?;
        let read = rows.iter().map(|row| row.as_ref().and_then(|row| self.store.readable::<DeliveryRow>(row)));
        let (mut waiting, mut gone) = (Vec::new(), Vec::new());
        for (id, row) in ids.into_iter().zip(read) {
            let row = row.filter(|row| !row.state.is_ended());
            match row.as_ref().and_then(|row| row.flow.as_deref()).filter(|flow| flow.expects() == Some(name)) {
                Some(flow) => waiting.push((id, flow.step.clone(), flow.run(), flow.serial())),
                None if row.is_none() => gone.push(keys::awaiting_delivery(&rule.id, name, &id)),
                None => {}
            }
        }
        // The places of deliveries that are gone are removed: they would hide deliveries that wait.
        if !gone.is_empty() {
            self.store.commit_one(Effects { delete: gone, ..Effects::default() }).await?;
        }
        waiting.truncate(MAX_MATCHED);
        Ok(waiting)
    }

    async fn secrets(&self, rule: &Rule) -> Result<Arc<BTreeMap<String, String>>, StoreError> {
        let replaced = || StoreError::Contended("a secret of the rule".to_owned());
        self.deliveries.rules.secrets(rule).await?.ok_or_else(replaced)
    }

    /// Puts a request into the store for a step of a delivery, and wakes the delivery.
    async fn accept(
        &self,
        rule: &Rule,
        delivery: &DeliveryId,
        turn: CallbackTurn<'_>,
        content: &Content<'_>,
    ) -> Result<(), Refused> {
        let now = self.store.now();
        let key = keys::callback(delivery, &turn, &content.name);
        let mut read = self.store.backend().get(&[key.clone(), keys::delivery(delivery)]).await?;
        let row = read.pop().flatten().and_then(|item| self.store.readable::<DeliveryRow>(&item));
        let is_known = read.pop().flatten().is_some();
        let is_over = row.as_ref().is_some_and(|row| {
            let by_flow = |flow: &Progress| flow.is_past(&turn) || is_late(flow, &turn, now);
            row.state.is_ended() || row.flow.as_deref().map_or(row.resends != turn.serial, by_flow)
        });
        if is_over {
            return if is_known { Ok(()) } else { Err(gone("the step has ended")) };
        }
        if is_known && row.as_ref().and_then(|row| row.flow.as_deref()).is_some_and(|flow| flow.has_heard(&content.name)) {
            return Ok(());
        }
        if !is_known {
            self.put(rule, delivery, &turn, content).await?;
        }
        let mut effects = Effects::default();
        notify_delivery(&mut effects, delivery, &rule.head.owner, now);
        self.store.commit_one(effects).await?;
        Ok(())
    }

    async fn put(
        &self,
        rule: &Rule,
        delivery: &DeliveryId,
        turn: &CallbackTurn<'_>,
        content: &Content<'_>,
    ) -> Result<(), Refused> {
        let prefix = keys::callbacks(delivery, turn);
        let (partition, range) = (Partition::Table(prefix.partition), Range::prefix(&prefix.sort));
        let before = self.store.backend().query(&partition, &range, Order::Ascending, MAX_CALLBACKS).await?;
        let stored: usize =
            before.iter().filter_map(|item| self.store.readable::<CallbackRow>(item)).map(|row| row.stored_bytes()).sum();
        let bytes = content.request.body.len();
        if before.len() >= MAX_CALLBACKS || stored + bytes > MAX_RUN_BYTES {
            let allowed = format!("{MAX_CALLBACKS} callbacks of a step, of {} KiB in all", MAX_RUN_BYTES / 1_024);
            return Err(Exceeded { allowed, wait_seconds: RETRY_AFTER_SECONDS }.into());
        }
        let key = self.deliveries.rules.sealing_key().await?;
        self.pay(rule, content.text().len())?;
        let now = self.store.now();
        let row = CallbackRow::new(now, turn, bytes);
        let mut item = rows::item(keys::callback(delivery, turn, &content.name), &row);
        item.expires = Some(now + self.store.settings.log_retention + LONGEST_FLOW);
        let sealed = rows::item(keys::callback_content(delivery, turn, &content.name), &content.sealed(&key, rule));
        // First the content: a callback that is found has one.
        let put = vec![Item { expires: Some(now + LONGEST_FLOW), ..sealed }];
        self.store.commit_one(Effects { put, ..Effects::default() }).await?;
        // A request with the same content that came at the same time has done this.
        self.store.swap_one(Swap { key: item.key.clone(), expect: None, new: Some(item) }).await.is_done()?;
        Ok(())
    }
}

/// A request of one rule, as it is stored for each delivery that takes it: named, written and sealed once.
struct Content<'r> {
    request: &'r IncomingRequest,
    name: String,
    text: OnceLock<String>,
    sealed: OnceLock<String>,
}

impl<'r> Content<'r> {
    fn of(request: &'r IncomingRequest) -> Self {
        Self { request, name: request.name(), text: OnceLock::new(), sealed: OnceLock::new() }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let kept = self.request.clone().with_kept_headers();
            serde_json::to_string(&kept).expect("a request has text keys and no failing serializers")
        })
    }

    fn sealed(&self, key: &SealingKey, rule: &Rule) -> &str {
        self.sealed.get_or_init(|| seal_callback(key, &rule.id, &self.name, self.text()))
    }
}

/// Refuses a request without a proof. `None`: its proof can't be checked now, so its sender is to repeat it.
fn proven(is_proven: Option<bool>) -> Result<(), Refused> {
    match is_proven {
        Some(true) => Ok(()),
        Some(false) => Err(Refused::Unproven),
        None => Err(StoreError::Unavailable("a secret that the proof needs has no value".to_owned()).into()),
    }
}

/// Returns true if the step listens, and its time is over.
fn is_late(flow: &Progress, turn: &CallbackTurn<'_>, now: Timestamp) -> bool {
    flow.step == *turn.step && flow.run() == turn.run && flow.until().is_some_and(|until| until <= now)
}

/// The meaning of a request from outside for a step.
struct Judged {
    /// `None`: a secret that the proof needs has no value.
    is_proven: Option<bool>,
    /// The name under which the deliveries for this request wait.
    awaited: Option<String>,
}

fn gone(why: &str) -> Refused {
    Refused::Gone(format!("{why}: this callback is taken no more"))
}
