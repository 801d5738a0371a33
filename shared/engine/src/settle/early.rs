//! A held postback that a person wants sent now: what the hold knows of it goes out as if it had been held too long and were to be
//! sent as it is (F3). If the conversion settles later, that is sent still.

use jiff::SignedDuration;
use tracking_core::{delivery::DeliveryId, matching::Release};

use super::release_message;
use crate::{
    Engine,
    backend::{Backend, Effects, Unavailable},
    repair::Seen,
    rows::DeliveryRow,
    rules::{Refused, Rule},
};

/// When the message comes that brings about what a cut off process left in the outbox.
const AFTERWARDS: SignedDuration = SignedDuration::from_secs(30);

impl<B: Backend> Engine<B> {
    /// Whether the subject of a delivery is held.
    pub(crate) async fn is_held(&self, rule: &Rule, row: &DeliveryRow) -> Result<bool, Unavailable> {
        if !row.job.held || row.attempts > 0 {
            return Ok(false);
        }
        let event = &row.job.event.0;
        let stored = self.read_hold(&event.conversion.conversion_id, rule).await?;
        Ok(stored.is_some_and(|stored| stored.hold.early(&event.subject()).is_some()))
    }

    /// Hands a held postback over with the newest state. `None`: something changed meanwhile, look again.
    pub(crate) async fn release_early(&self, rule: &Rule, seen: &Seen) -> Result<Option<DeliveryRow>, Refused> {
        let held = &seen.row.job;
        let conversion = &held.event.0.conversion.conversion_id;
        let now = self.now();
        let stored = self.read_hold(conversion, rule).await?;
        let due = stored.as_ref().and_then(|stored| stored.hold.early(&held.event.0.subject()));
        let (Some(mut stored), Some(due)) = (stored, due) else {
            return Err(Refused::Conflict("it is held no more and about to be sent: look again".to_owned()));
        };
        match rule.candidate().release(&due).1 {
            Release::Send | Release::End(_) => {}
            Release::Foreign => {
                return Err(Refused::Conflict("the conversion belongs to another affiliate now: it can't be sent".to_owned()));
            }
            Release::Unfit(misses) => {
                let why: Vec<String> = misses.into_iter().map(|miss| miss.detail).collect();
                let why = format!("the conditions do not hold for it as it is now: {}", why.join("; "));
                return Err(Refused::Conflict(why));
            }
        }
        let afterwards = release_message(conversion, &rule.id, now + AFTERWARDS);
        self.commit_one(Effects { send: vec![afterwards], ..Effects::default() }).await?;
        let sent = self.carry_out(rule, &due, &mut stored.outbox, now).await?;
        stored.hold.conclude(&due, sent);
        let Some(job) = stored.outbox.job(&held.id) else { return Ok(None) };
        if !self.write_hold(rule, conversion, &mut stored, now).await? {
            return Ok(None);
        }
        self.flush(rule, &stored.outbox, now).await?;
        stored.outbox = super::Outbox::default();
        self.write_hold(rule, conversion, &mut stored, now).await?;
        let row = DeliveryRow { job, ..seen.row.clone() };
        Ok(Some(self.show_as_handed_over(row, seen).await?))
    }
}

impl super::Outbox {
    /// What is to be handed over of a delivery.
    fn job(&self, id: &DeliveryId) -> Option<crate::rows::Job> {
        self.to_send().find(|job| job.id == *id).cloned()
    }
}
