//! Changing existing rules: replacing, patching, going back to an older version, deleting.

use std::{collections::BTreeMap, sync::Arc};

use tracking_core::{
    caller::Actor,
    fault::Faults,
    id::Id,
    json::Value,
    tracking_api::{RuleDefinition, keeps_owner, patch_document},
};

use super::{
    Refused, Rule, RuleHead, View,
    audit::{Act, Action},
    over::{Over, expect_version},
    secret_values::{check_count, secret_values},
    write::{collect, lists},
};
use crate::{
    backend::{Backend, Effects, StoreError},
    keys, rows,
    rules::RuleWriter,
};

impl<B: Backend> RuleWriter<B> {
    /// Replaces the writable part of a rule. `expected`: the version of an `If-Match`.
    pub async fn replace_rule(
        &self,
        actor: impl Into<Actor>,
        id: &Id,
        document: &Value,
        expected: Option<u64>,
    ) -> Result<View, Refused> {
        self.change_rule(Act::new(actor.into(), Action::Replaced), id, expected, |_| document.clone(), Some(document)).await
    }

    /// Changes parts of a rule (RFC 7396).
    pub async fn patch_rule(
        &self,
        actor: impl Into<Actor>,
        id: &Id,
        patch: &Value,
        expected: Option<u64>,
    ) -> Result<View, Refused> {
        let change = |rule: &Rule| {
            let mut document = rule.definition.document();
            patch_document(&mut document, patch);
            document
        };
        self.change_rule(Act::new(actor.into(), Action::Patched), id, expected, change, Some(patch)).await
    }

    /// Writes a rule as it was at an older version; its secrets keep the values that they have now, unless that version goes to another
    /// host or another party wrote them.
    ///
    /// # Errors
    /// There never was such a version, or its content is not allowed any more.
    pub async fn restore_rule(
        &self,
        actor: impl Into<Actor>,
        id: &Id,
        version: u64,
        expected: Option<u64>,
    ) -> Result<View, Refused> {
        let actor = actor.into();
        let (rule, _) = self.rules.visible(&actor.caller, id).await?;
        expect_version(expected, &rule.head)?;
        let Some(document) = self.rules.version(id, &rule.head, version).await? else {
            return Err(Refused::Conflict(format!("at version {version} the rule was deleted: choose another version")));
        };
        let act = Act { note: Some(format!("version {version} restored")), ..Act::new(actor, Action::Restored) };
        self.change_rule(act, id, expected, |_| document.clone(), None).await
    }

    /// `written` is the person's text, if that may ask for the rule to be active.
    async fn change_rule(
        &self,
        act: Act,
        id: &Id,
        expected: Option<u64>,
        change: impl Fn(&Rule) -> Value,
        written: Option<&Value>,
    ) -> Result<View, Refused> {
        let mut is_charged = false;
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            expect_version(expected, &rule.head)?;
            let mut document = change(&rule);
            self.keep_asked(&rule, &mut document).await?;
            let mut faults = Faults::default();
            collect(keeps_owner(&document, &rule.head.owner), &mut faults);
            let values = collect(secret_values(&document), &mut faults).unwrap_or_default();
            let switched = rule.definition.switched(&document);
            let is_switch = switched.is_some();
            let read = match switched {
                Some(switched) => Ok(switched),
                None => self.read_text(&act.actor.caller, &rule.head.owner, document).await?,
            };
            let definition = collect(read, &mut faults);
            if let Some(definition) = &definition {
                let names = rule.head.secrets.keys().chain(values.keys());
                collect(check_count(definition, names, rule.head.secrets.len(), "/secret_values"), &mut faults);
                collect(written.map_or(Ok(()), |written| definition.may_be_activated_by(written)), &mut faults);
            }
            let Some(definition) = definition.filter(|_| faults.is_empty()) else { return Err(faults.into()) };
            let mirroring = if is_switch { Vec::new() } else { self.check_both_ways(&act, &rule, &definition).await? };
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            let mut head = rule.head.next(self.store.now());
            let asks_off = |written: &Value| written.get("active").and_then(Value::as_bool) == Some(false);
            let asks_off = matches!(act.action, Action::Patched) && written.is_some_and(asks_off);
            head.lock(&act.actor.caller, rule.definition.active, asks_off, &definition)?;
            head.note_pause(&definition);
            let sealed = match self.rules.seal(&act, id, Some(&rule), &mut head, &definition, &values).await {
                Err(Refused::Changed { .. }) if expected.is_none() => continue,
                sealed => sealed?,
            };
            head.set_live(head.fires(&definition));
            let old = Arc::clone(&rule.definition);
            match self.write_rule(&act, id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) if expected.is_none() => {}
                written => {
                    let written = written?;
                    self.forget_mirrors(id, &old, Some(&written.definition)).await;
                    self.renew_mirrors(&act.actor, id, &mirroring).await;
                    return Ok(self.rules.view(&written).await?);
                }
            }
        }
    }

    /// Checks the steps that a rule mirrors with a new text, and the rules that mirror it (W19); returns the latter.
    async fn check_both_ways(&self, act: &Act, rule: &Rule, definition: &RuleDefinition) -> Result<Vec<Id>, Refused> {
        self.check_mirrors(Some(&rule.id), definition).await?;
        self.check_mirrored(&act.actor.caller, rule, Some(definition)).await
    }

    /// Writes a rule again as it is, after a rule was changed whose step it mirrors.
    pub(super) async fn rewrite(&self, act: Act, id: &Id) -> Result<(), Refused> {
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            let read = self.read_text(&act.actor.caller, &rule.head.owner, rule.definition.document()).await?;
            let definition = read?;
            let mut head = rule.head.next(self.store.now());
            let sealed = self.rules.seal(&act, id, Some(&rule), &mut head, &definition, &BTreeMap::new()).await?;
            head.set_live(head.fires(&definition));
            match self.write_rule(&act, id.clone(), Over::Rule(rule, rev), head, definition, sealed).await {
                Err(Refused::Changed { .. }) => {}
                written => return written.map(drop),
            }
        }
    }

    /// Removes from a document the fields with which the server says that the rule is inactive. A rule that is inactive because something
    /// is missing stays asked to be active where it is written back as it was read (V4).
    async fn keep_asked(&self, rule: &Rule, document: &mut Value) -> Result<(), StoreError> {
        let is_off = document.get("active").and_then(Value::as_bool) == Some(false);
        let reason = document.as_object_mut().and_then(|fields| fields.remove("inactive_reason"));
        if let Some(reason) = reason.filter(|_| is_off)
            && self.rules.view(rule).await?.resource.get("inactive_reason") == Some(&reason)
        {
            document["active"] = rule.definition.active.into();
        }
        Ok(())
    }

    /// Deletes a rule: it sends nothing more, and its waiting or held deliveries end cancelled (P6).
    pub async fn delete_rule(&self, actor: impl Into<Actor>, id: &Id, expected: Option<u64>) -> Result<(), Refused> {
        let act = Act::new(actor.into(), Action::Deleted);
        let mut is_charged = false;
        loop {
            let (rule, rev) = self.rules.visible(&act.actor.caller, id).await?;
            expect_version(expected, &rule.head)?;
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            self.check_mirrored(&act.actor.caller, &rule, None).await?;
            let (owner, old) = (rule.head.owner.clone(), Arc::clone(&rule.definition));
            let tombstone = rule.head.tombstone(keys::new_write_id(rule.head.version + 1), self.store.now());
            match self.change_head(&act, id, &Over::Rule(rule, rev), &tombstone, None, Vec::new()).await {
                Err(Refused::Changed { .. }) => {}
                Err(refused) => return Err(refused),
                Ok(()) => {
                    // Somebody may have made it again before its places in the lists were removed.
                    if self.rules.read_head(id).await?.is_some_and(|(head, _)| !head.deleted) {
                        let put = lists(id, &owner).into_iter().map(|key| rows::item(key, &())).collect();
                        self.store.commit_one(Effects { put, ..Effects::default() }).await?;
                    }
                    self.forget_mirrors(id, &old, None).await;
                    self.free_resources(id, &tombstone).await;
                    return Ok(());
                }
            }
        }
    }

    /// Frees the resources of a deleted rule: its place in the quota, and its history once nothing remembers the rule. Both can wait: an
    /// unused place is found when the places run out.
    async fn free_resources(&self, id: &Id, tombstone: &RuleHead) {
        let mut done = self.rules.expire_history(id, tombstone).await;
        if let Some(affiliate) = tombstone.owner.affiliate() {
            done = self.give_place_back(affiliate, id, tombstone.version).await.and(done);
        }
        if let Err(error) = done {
            tracing::warn!(tracking_api_id = %id, %error, "a deleted rule left something behind");
        }
    }
}
