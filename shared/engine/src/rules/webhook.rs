//! The webhook of a rule: its id is the only thing that its sender needs, so that it can be replaced (W18).

use tracking_core::{caller::Actor, id::Id};

use super::{
    Refused, View,
    audit::{Act, Action},
    over::expect_version,
    write::new_webhook,
};
use crate::{backend::Backend, rules::RuleWriter};

impl<B: Backend> RuleWriter<B> {
    /// Gives a rule's webhook a new id; the old one is taken no more.
    ///
    /// # Errors
    /// No step of the rule waits for a webhook.
    pub async fn renew_webhook(&self, actor: impl Into<Actor>, id: &Id, expected: Option<u64>) -> Result<View, Refused> {
        let act = Act::new(actor.into(), Action::WebhookRenewed);
        let mut is_charged = false;
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            expect_version(expected, &rule.head)?;
            if rule.head.webhook.is_none() {
                let why = "no step of the Tracking API waits for a webhook: write a step with listen and match first";
                return Err(Refused::Conflict(why.to_owned()));
            }
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            let mut head = rule.head.next(self.store.now());
            head.webhook = Some(new_webhook());
            match self.write_head(&act, (rule, rev), head).await {
                Err(Refused::Changed { .. }) if expected.is_none() => {}
                written => return Ok(self.rules.view(&written?).await?),
            }
        }
    }
}
