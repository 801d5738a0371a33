//! A postback that is held, or was held and never sent, and that a person wants sent now: the hold's present state goes out as on expiry
//! with `on_expiry: send_current` (F3). If the conversion settles later, the settled state is still sent.

use jiff::SignedDuration;
use tracking_core::{
    delivery::{Cause, DeliveryId, State},
    event::{Event, Subject},
    hold::DuePostback,
    matching::Release,
};

use super::{delay_of, release_message};
use crate::{
    backend::{Backend, Effects, StoreError},
    holds::Holds,
    rows::{DeliveryRow, StoredEvent},
    rules::{Refused, Rule},
};

/// The delay of the message that carries out what a cut-off process left in the outbox.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(30);

/// A held and never sent postback in its present state.
pub(crate) struct Known {
    due: DuePostback,
    /// The event to send.
    pub(crate) event: StoredEvent,
    /// The event that it was held with.
    held: Event,
    /// `true` if it is the delivery that the hold would release.
    is_own: bool,
    /// `true` if the hold still holds it.
    pub(crate) is_held: bool,
}

impl<B: Backend> Holds<B> {
    /// Reads a held and never sent postback as it would be sent now: the hold's newest state, judged like a released one (F3, V3). `Err`:
    /// the reason why it can't be sent.
    pub(crate) async fn known_now(&self, rule: &Rule, row: &DeliveryRow) -> Result<Result<Known, String>, StoreError> {
        let held = row.owed.event.known();
        let Some(stored) = self.read_hold(&held.conversion.conversion_id, rule).await? else {
            return Ok(Err("it was never sent, and nothing is known any more of what it waited for".to_owned()));
        };
        let is_own = is_own(rule, row);
        let is_held = is_own && stored.hold.early(&held.subject()).is_some();
        if is_own && row.state == State::Held && !is_held {
            return Ok(Err("it is held no more and about to be sent: look again".to_owned()));
        }
        let due = stored.hold.as_known_now(held);
        let (event, release) = rule.candidate().release(&due);
        Ok(match unsendable(release) {
            Some(why) => Err(why),
            None => Ok(Known { due, event: StoredEvent::new(event), held: held.clone(), is_own, is_held }),
        })
    }

    /// Notes in the hold that a person sends this postback. Returns false if somebody else changed the hold: the caller reads it
    /// again.
    pub(crate) async fn note_sent_by_hand(&self, rule: &Rule, known: &Known) -> Result<bool, StoreError> {
        let conversion = &known.held.conversion.conversion_id;
        let Some(mut stored) = self.read_hold(conversion, rule).await? else { return Ok(true) };
        if known.is_held && stored.hold.as_known_now(&known.held) != known.due {
            return Ok(false);
        }
        let before: Vec<Subject> = stored.hold.held().map(|(subject, _)| subject.clone()).collect();
        stored.hold.sent_by_hand(&known.due, &known.held, known.is_own);
        self.put_hold(rule, delay_of(rule), &mut stored, Vec::new(), &before).await
    }

    /// Hands a held postback over with the newest state and returns its row as it is to be shown. `None`: something changed meanwhile, look
    /// again.
    pub(crate) async fn release_early(&self, rule: &Rule, row: &DeliveryRow) -> Result<Option<DeliveryRow>, Refused> {
        let held = &row.owed;
        let conversion = &held.event.known().conversion.conversion_id;
        let now = self.store.now();
        let stored = self.read_hold(conversion, rule).await?;
        let due = stored.as_ref().and_then(|stored| stored.hold.early(&held.event.known().subject()));
        let (Some(mut stored), Some(due)) = (stored, due) else {
            return Err(Refused::Conflict("it is held no more and about to be sent: look again".to_owned()));
        };
        if let Some(why) = unsendable(rule.candidate().release(&due).1) {
            return Err(Refused::Conflict(why));
        }
        let afterwards = release_message(conversion, &rule.id, now + AFTERWARDS);
        self.store.commit_one(Effects { send: vec![afterwards], ..Effects::default() }).await?;
        let sent = self.carry_out(rule, &due, &mut stored.outbox, now).await?;
        stored.hold.conclude(&due, sent);
        let Some(owed) = stored.outbox.owed(&held.id) else { return Ok(None) };
        if !self.write_hold(rule, conversion, &mut stored, now).await? {
            return Ok(None);
        }
        self.flush(rule, &stored.outbox, now).await?;
        stored.outbox = super::Outbox::default();
        self.write_hold(rule, conversion, &mut stored, now).await?;
        Ok(Some(DeliveryRow { owed, ..row.clone() }))
    }
}

/// Returns true if a delivery is the one that this rule's hold would release, and not one from before the rule was switched off (P6).
pub(crate) fn is_own(rule: &Rule, row: &DeliveryRow) -> bool {
    let event = row.owed.event.known();
    let cause = Cause::Final(rule.head.epoch);
    DeliveryId::derive(&event.conversion.conversion_id, &rule.id, &event.subject().to_string(), cause) == row.owed.id
}

/// The reason why a postback is not sent although a person asks for it.
fn unsendable(release: Release) -> Option<String> {
    match release {
        Release::Send | Release::End(_) => None,
        Release::Foreign => Some("the conversion belongs to another affiliate now: it can't be sent".to_owned()),
        Release::Unfit(misses) => {
            let why: Vec<String> = misses.into_iter().map(|miss| miss.detail).collect();
            Some(format!("the conditions do not hold for it as it is now: {}", why.join("; ")))
        }
    }
}

impl super::Outbox {
    /// Returns the owed delivery to hand over.
    fn owed(&self, id: &DeliveryId) -> Option<crate::rows::OwedDelivery> {
        self.to_send().find(|owed| owed.id == *id).cloned()
    }
}
