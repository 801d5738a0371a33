//! Repairing one delivery: a person resends or stops it (L1).
//!
//! Both are instructions on the delivery's subject queue, given by compare-and-set, so that no attempt is claimed beside them;
//! then they are written to the row. A crash between the two leaves a queue that decides what the next message does with the row:
//! nothing for a resend whose row is still over, its end for one that was stopped. Before a row is made to wait, a message is
//! under way that finds it waiting.
//!
//! A held and never sent delivery goes out in its present state, never as it was when holding began (F3).

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    caller::Caller,
    delivery::{DeliveryId, State},
    fault::{Faults, unknown},
    flow::Progress,
    id::Id,
    json::Value,
    repair::Resend,
    subject_queue::{Instruction, SubjectQueue},
};

use crate::{
    backend::{Backend, Effects, Key, Message, StoreError},
    delivery::{self, STOPPED},
    holds::is_own,
    keys, limits,
    operator::Operator,
    rows::{self, DeliveryRow, StoredEvent, Task},
    rules::{Refused, Rule},
};

/// The reason of a delivery that waits because a person asked for it.
pub(crate) const SENT_AGAIN: &str = "a person asked to send it again";
/// The number of times that a row is read again that changes at the same time.
const READS: usize = 10;
/// The delay of the message that looks after a row whose writer was cut off.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(30);

/// A row is made to wait within this time, so that the message that looks after it comes later.
pub(crate) const IN_TIME: SignedDuration = SignedDuration::from_secs(20);

/// A delivery as it was read at one moment.
#[derive(Debug, Clone)]
pub(crate) struct DeliverySnapshot {
    pub(crate) row: DeliveryRow,
    rev: u64,
    pub(crate) queue: SubjectQueue,
    queue_rev: Option<u64>,
}

/// The reason why a delivery is not resent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// An attempt is under way, until then at most.
    Sending(Timestamp),
    /// A newer one of its subject was delivered.
    NewerDelivered,
    /// A newer one of its subject is being sent.
    NewerSending,
    /// Too much is under way about its subject.
    Full,
    /// It was held and never sent, and can't be sent as it is now (F3, V3).
    Unfit(String),
}

/// The manner in which a delivery is resent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Again<'a> {
    /// The replay that does so.
    pub(crate) replay: Option<&'a str>,
    /// The step at which its flow begins.
    pub(crate) from_step: Option<&'a str>,
}

impl Obstacle {
    fn refused(self) -> Refused {
        let why = match self {
            Self::Sending(until) => return being_sent(until),
            Self::NewerDelivered => {
                "a newer change of the same subject was delivered: send this one all the same with \"force\": true"
            }
            Self::NewerSending => {
                "a newer change of the same subject is being sent: wait for its answer, or send this one all the same with \
                 \"force\": true"
            }
            Self::Full => return full(),
            Self::Unfit(why) => return Refused::Conflict(why),
        };
        Refused::Conflict(why.to_owned())
    }
}

impl<B: Backend> Operator<B> {
    /// Resends a delivery, whatever its state: a new budget of attempts, which count on (L1). A held one is sent in its present state.
    /// Refused while it is being sent, while its rule is off, and when a newer one was delivered unless `body` says `force`.
    pub async fn resend(&self, caller: &Caller, id: &DeliveryId, body: &Value) -> Result<Value, Refused> {
        let mut is_charged = false;
        for _ in 0..READS {
            let seen = self.seen(caller, id).await?;
            let Resend { force, from_step } = Resend::parse(body)?;
            let rule = self.sending(&seen.row.owed.rule).await?;
            check_step(&rule, from_step.as_deref())?;
            let begun = self.store.now();
            let again = Again { replay: None, from_step: from_step.as_deref() };
            if let Some(obstacle) = self.obstacle(&rule, &seen.row, &seen.queue, force).await? {
                return Err(obstacle.refused());
            }
            self.limits.charge_once(caller, &limits::RESENDS, &mut is_charged).await?;
            if seen.row.state == State::Held && is_own(&rule, &seen.row) {
                if !self.unstopped(&seen).await? {
                    continue;
                }
                match self.holds.release_early(&rule, &seen.row).await? {
                    Some(row) => return Ok(self.show_as_handed_over(row, &seen).await?.view()),
                    None => continue,
                }
            }
            self.store
                .commit_one(Effects { send: vec![wake(&rule, &seen.row, begun + AFTERWARDS)], ..self.moved_aside(&seen.row) })
                .await?;
            let Some(row) = self.send_again(&rule, seen, again, begun + IN_TIME).await? else { continue };
            self.store.commit_one(Effects { send: vec![wake(&rule, &row, begun)], ..Effects::default() }).await?;
            tracing::info!(tracking_api_id = %rule.id, delivery_id = %row.owed.id, attempts = row.attempts, "sent again");
            return Ok(row.view());
        }
        Err(changing().into())
    }

    /// Stops a delivery that waits or is held.
    pub async fn cancel(&self, caller: &Caller, id: &DeliveryId) -> Result<Value, Refused> {
        for _ in 0..READS {
            let seen = self.seen(caller, id).await?;
            let DeliverySnapshot { mut row, rev, queue, queue_rev } = seen;
            if row.state.is_ended() {
                return Err(Refused::Conflict(format!(
                    "it is over, {}: only what waits or is held can be stopped",
                    row.state.as_str()
                )));
            }
            let now = self.store.now();
            if let Some(until) = queue.sending_until(id, row.attempts, self.store.present()) {
                return Err(being_sent(until));
            }
            let records = self.records_beside(&row, &queue).await?;
            let recorded = |id: &DeliveryId| records.get(id).copied().unwrap_or(0);
            let Some((queue, attempts)) = queue.instruct(Instruction::Stop, id, row.owed.event.known().order(), &recorded, now)
            else {
                return Err(full());
            };
            if !self.deliveries.swap_queue(queue_key(&row), queue_rev, &queue, now).await.is_done()? {
                continue;
            }
            row.attempts = attempts;
            row.end(State::Cancelled, STOPPED, now);
            if self.store.swap_delivery(&row, rev).await? {
                if row.flow.is_some() {
                    // Newer ones may wait for its end (W4).
                    self.store.commit_one(Effects { send: vec![nudge(&row, "", now)], ..Effects::default() }).await?;
                }
                self.store.tally.ended(State::Cancelled);
                tracing::info!(tracking_api_id = %row.owed.rule, delivery_id = %id, outcome = "cancelled", "ended");
                return Ok(row.view());
            }
            // Its own message may have come in between, and ended it for the same reason.
            let current = self.seen(caller, id).await?.row;
            if current.state == State::Cancelled {
                return Ok(current.view());
            }
        }
        Err(changing().into())
    }

    /// The delivery, if the caller may see it (V2).
    async fn seen(&self, caller: &Caller, id: &DeliveryId) -> Result<DeliverySnapshot, Refused> {
        let item = self.store.get_one(keys::delivery(id)).await?.ok_or(Refused::NotFound)?;
        if !caller.sees(&rows::owner_of(&item.body).map_err(StoreError::from)?) {
            return Err(Refused::NotFound);
        }
        let row: DeliveryRow = rows::read_item(&item)?;
        self.look_at(&row).await?.ok_or(Refused::NotFound)
    }

    /// A delivery and its subject queue at one moment; `None`: its row has expired.
    pub(crate) async fn look_at(&self, row: &DeliveryRow) -> Result<Option<DeliverySnapshot>, StoreError> {
        let mut read = self.store.backend().get(&[queue_key(row), keys::delivery(&row.owed.id)]).await?;
        let Some(own) = read.pop().flatten() else { return Ok(None) };
        let item = read.pop().flatten();
        let queue_rev = item.as_ref().map(|item| item.rev);
        let queue = item.map(|item| rows::read_item(&item)).transpose()?.unwrap_or_default();
        Ok(Some(DeliverySnapshot { row: rows::read_item(&own)?, rev: own.rev, queue, queue_rev }))
    }

    /// The rule, if it sends (P6).
    pub(crate) async fn sending(&self, id: &Id) -> Result<Rule, Refused> {
        let rule = self.rules.read_rule(id).await?.map(|(rule, _)| rule).filter(|rule| rule.head.live);
        rule.ok_or_else(|| Refused::Conflict("the Tracking API is switched off or deleted: switch it on first".to_owned()))
    }

    /// The obstacle to resending a delivery, if there is one (L1).
    pub(crate) async fn obstacle(
        &self,
        rule: &Rule,
        row: &DeliveryRow,
        queue: &SubjectQueue,
        force: bool,
    ) -> Result<Option<Obstacle>, StoreError> {
        let present = self.store.present();
        if let Some(until) = queue.sending_until(&row.owed.id, row.attempts, present) {
            return Ok(Some(Obstacle::Sending(until)));
        }
        let records = self.records_beside(row, queue).await?;
        let recorded = |id: &DeliveryId| records.get(id).copied().unwrap_or(0);
        let order = row.owed.event.known().order();
        if queue.instruct(Instruction::Resend, &row.owed.id, order, &recorded, present.now).is_none() {
            return Ok(Some(Obstacle::Full));
        }
        if !force && queue.newer_claimed(order).any(|newer| queue.sending_until(newer, recorded(newer), present).is_some()) {
            return Ok(Some(Obstacle::NewerSending));
        }
        if !force && self.newer_delivered(row, queue).await? {
            return Ok(Some(Obstacle::NewerDelivered));
        }
        if row.was_held_back() {
            return Ok(self.holds.known_now(rule, row).await?.err().map(Obstacle::Unfit));
        }
        Ok(None)
    }

    /// The attempts that the log has of a delivery, and of those on its subject queue that matter to an instruction about it.
    async fn records_beside(&self, row: &DeliveryRow, queue: &SubjectQueue) -> Result<HashMap<DeliveryId, u32>, StoreError> {
        let mut records = HashMap::from([(row.owed.id.clone(), row.attempts)]);
        let others: Vec<&DeliveryId> = if queue.is_full() {
            queue.entries.iter().map(|entry| &entry.id).collect()
        } else {
            queue.newer_claimed(row.owed.event.known().order()).collect()
        };
        let keys: Vec<Key> = others.into_iter().filter(|id| **id != row.owed.id).map(keys::delivery).collect();
        let items = self.store.get_all(&keys).await?;
        for item in items.into_iter().flatten() {
            let Some(other) = self.store.readable::<DeliveryRow>(&item) else { continue };
            records.insert(other.owed.id, other.attempts);
        }
        Ok(records)
    }

    /// Returns true if a newer one of the same rule and subject was delivered. The subject queue knows whether any was tried.
    pub(crate) async fn newer_delivered(&self, row: &DeliveryRow, queue: &SubjectQueue) -> Result<bool, StoreError> {
        let event = row.owed.event.known();
        let order = event.order();
        if queue.head < order.version || (queue.head == order.version && queue.newer_claimed(order).next().is_none()) {
            return Ok(false);
        }
        let newer = |other: &DeliveryRow| {
            let others = other.owed.event.known();
            other.state == State::Delivered
                && other.owed.rule == row.owed.rule
                && others.order() > order
                && others.subject() == event.subject()
        };
        Ok(self.log.deliveries_in(row.owed.id.conversion_part()).await?.0.iter().any(newer))
    }

    /// The last attempt of a delivery that is over, moved to the place of earlier ones.
    pub(crate) fn moved_aside(&self, row: &DeliveryRow) -> Effects {
        let last = row.last.iter().map(|attempt| self.deliveries.earlier_attempt(&row.owed.id, attempt, self.store.now()));
        Effects { put: last.collect(), ..Effects::default() }
    }

    /// Opens a new budget. The caller has sent a message that finds the row waiting, and has moved its last attempt aside; after `until`
    /// no row is written. `None`: somebody else was faster, look again.
    pub(crate) async fn send_again(
        &self,
        rule: &Rule,
        seen: DeliverySnapshot,
        again: Again<'_>,
        until: Timestamp,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        if !seen.row.was_held_back() {
            return self.revive(rule, seen, again, None, until).await;
        }
        let Ok(known) = self.holds.known_now(rule, &seen.row).await? else { return Ok(None) };
        // A held delivery must not be taken for the final one once its conversion is settled, so the hold is notified first. One that is
        // over is sent first: if this is cut off, the settled state is sent as well.
        if known.is_held && !self.holds.note_sent_by_hand(rule, &known).await? {
            return Ok(None);
        }
        let revived = self.revive(rule, seen, again, Some(&known.event), until).await?;
        if revived.is_some() && !known.is_held {
            for _ in 0..READS {
                if self.holds.note_sent_by_hand(rule, &known).await? {
                    return Ok(revived);
                }
            }
            return Err(changing());
        }
        Ok(revived)
    }

    /// Opens a new budget: on the subject queue, then in the row, with a newer state if there is one.
    async fn revive(
        &self,
        rule: &Rule,
        seen: DeliverySnapshot,
        how: Again<'_>,
        newest: Option<&StoredEvent>,
        until: Timestamp,
    ) -> Result<Option<DeliveryRow>, StoreError> {
        let DeliverySnapshot { row, mut rev, queue, queue_rev } = seen;
        let now = self.store.now();
        let records = self.records_beside(&row, &queue).await?;
        let recorded = |id: &DeliveryId| records.get(id).copied().unwrap_or(0);
        let order = newest.unwrap_or(&row.owed.event).known().order();
        let Some((queue, base)) = queue.instruct(Instruction::Resend, &row.owed.id, order, &recorded, now) else {
            return Ok(None);
        };
        if !self.deliveries.swap_queue(queue_key(&row), queue_rev, &queue, now).await.is_done()? {
            return Ok(None);
        }
        let again = |mut row: DeliveryRow| {
            row.owed.event = newest.cloned().unwrap_or(row.owed.event);
            waiting_again(rule, row, base, how, now)
        };
        let mut row = again(row);
        for _ in 0..READS {
            if self.store.now() > until {
                return Err(StoreError::TooLate("sending it again".to_owned()));
            }
            if self.store.swap_delivery(&row, rev).await? {
                return Ok(Some(row));
            }
            let Some(current) = self.look_at(&row).await? else { return Ok(None) };
            if current.row.attempts > base {
                // An attempt of the new budget was made already.
                return Ok(Some(current.row));
            }
            rev = current.rev;
            row = again(current.row);
        }
        Err(changing())
    }

    /// Removes what an interrupted stop left on the subject queue of a delivery that is still held. `false`: somebody else was faster.
    async fn unstopped(&self, seen: &DeliverySnapshot) -> Result<bool, StoreError> {
        let DeliverySnapshot { row, queue, queue_rev, .. } = seen;
        if !queue.is_stopped(&row.owed.id) {
            return Ok(true);
        }
        let now = self.store.now();
        // The delivery is on the subject queue already, which need not forget another for it.
        let recorded = |_: &DeliveryId| row.attempts;
        let instructed = queue.instruct(Instruction::Resend, &row.owed.id, row.owed.event.known().order(), &recorded, now);
        let Some((queue, _)) = instructed else { return Ok(false) };
        self.deliveries.swap_queue(queue_key(row), *queue_rev, &queue, now).await.is_done()
    }
}

impl<B: Backend> Operator<B> {
    /// Shows a held delivery whose postback was handed over as waiting, unless more is known of it by now.
    async fn show_as_handed_over(&self, mut row: DeliveryRow, seen: &DeliverySnapshot) -> Result<DeliveryRow, StoreError> {
        row.state = State::Waiting;
        row.reason = Some(SENT_AGAIN.to_owned());
        row.next_due = Some(self.store.now());
        if self.store.swap_delivery(&row, seen.rev).await? {
            return Ok(row);
        }
        Ok(self.store.delivery(&row.owed.id).await?.unwrap_or(row))
    }
}

/// The row with a new budget.
fn waiting_again(rule: &Rule, mut row: DeliveryRow, base: u32, how: Again<'_>, now: Timestamp) -> DeliveryRow {
    restart_flow(rule, &mut row, base, how.from_step, now);
    // A postback that matched before the rule was switched off is sent because a person says so (P6).
    row.owed.epoch = rule.head.epoch;
    row.attempts = base;
    row.base = base;
    row.max_attempts = base + rule.definition.plan.first_call().retry.max_attempts();
    row.replay = how.replay.map(ToOwned::to_owned).or(row.replay);
    row.state = State::Waiting;
    row.reason = Some(SENT_AGAIN.to_owned());
    row.next_due = Some(now);
    row.receiver_wait = None;
    row.ended_at = None;
    row.last = None;
    row
}

/// The place of a resent flow (W13): one that waits goes on at once; one that is over begins at a step that a person names, with its
/// variables as they are, or at its first step, without them.
fn restart_flow(rule: &Rule, row: &mut DeliveryRow, base: u32, from_step: Option<&str>, now: Timestamp) {
    let plan = &rule.definition.plan;
    row.resends += 1;
    if !plan.is_flow() {
        row.flow = None;
        return;
    }
    match (&mut row.flow, from_step) {
        (Some(flow), None) if !row.state.is_ended() => flow.wake(),
        (_, Some(step)) => row.flow = Some(Box::new(Progress::at(plan, step, base, now).of_resend(row.resends))),
        (_, None) => {
            row.flow = None;
            row.variables.clear();
            row.sealed = None;
            row.secret_variables.clear();
        }
    }
    row.pending = false;
}

/// Refuses a step that the rule does not have, and one whose callback URL no later step sends, so that it could only time out.
fn check_step(rule: &Rule, from_step: Option<&str>) -> Result<(), Refused> {
    let Some(step) = from_step else { return Ok(()) };
    let plan = &rule.definition.plan;
    let names: Vec<&str> = plan.step_names().collect();
    let detail = if !names.contains(&step) {
        unknown("step", step, &names)
    } else if let Some(giving) = plan.gives_url_of(step) {
        format!("{step} waits for a callback, and only an earlier step sends its URL: write \"{giving}\"")
    } else {
        return Ok(());
    };
    Err(Faults::one("/from_step", detail).into())
}

/// Asks to send the next attempt of a delivery at this time.
pub(crate) fn wake(rule: &Rule, row: &DeliveryRow, at: Timestamp) -> Message {
    nudge(row, rule.definition.first_host(), at)
}

/// A message about a delivery, for the receiver of this host.
fn nudge(row: &DeliveryRow, host: &str, at: Timestamp) -> Message {
    delivery::message(&Task::Wake { delivery: row.owed.id.clone() }, delivery::group(&row.owed, host), at)
}

pub(crate) fn queue_key(row: &DeliveryRow) -> Key {
    keys::subject_queue(&row.owed.id, &row.owed.rule, &row.owed.event.known().subject())
}

fn full() -> Refused {
    Refused::Conflict("too much is under way about the same subject: wait until some of it is over".to_owned())
}

fn being_sent(until: Timestamp) -> Refused {
    Refused::Conflict(format!("it is being sent: wait for its answer, or until {until}, when it counts as cut off"))
}

pub(crate) fn changing() -> StoreError {
    StoreError::Contended("the delivery".to_owned())
}
