//! Making rules: new ones, and copies of others (V4).

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracking_core::{
    caller::{Actor, Caller, Owner},
    fault::Faults,
    hash,
    id::Id,
    json::Value,
    tracking_api::{RuleDefinition, copy, owner_of_new},
};

use super::{
    Refused, Rule, RuleHead, View,
    audit::{Act, Action},
    over::Over,
    secret_values::{check_count, secret_values},
    write::{LOCKED, collect},
};
use crate::{
    backend::{Backend, StoreError},
    keys,
    rules::RuleWriter,
};

/// A rule as a person wrote it, with all of its parts.
pub(crate) struct WrittenRule {
    pub(crate) owner: Owner,
    /// Values of its secrets (Q5).
    pub(crate) values: BTreeMap<String, String>,
    pub(crate) definition: RuleDefinition,
}

/// The part of a new rule that comes from the rule of which it is a copy.
#[derive(Debug, Default)]
struct Origin {
    /// The fingerprint of the request, if it isn't that of the whole document.
    request_fingerprint: Option<String>,
    /// An admin switched the original off: an affiliate's copy stays off, too.
    locked: bool,
}

/// The source of a new rule's id.
#[derive(Debug, Clone)]
pub enum New {
    /// Random bytes of the caller's.
    Random([u8; 16]),
    /// A key of the person who asks: the same key again is the same rule.
    IdempotencyKey(String),
}

impl<B: Backend> RuleWriter<B> {
    /// Makes a rule. Returns true beside it if it is new: the same idempotency key again gives the rule that it made before.
    pub async fn create_rule(&self, actor: impl Into<Actor>, document: &Value, new: New) -> Result<(View, bool), Refused> {
        self.make_rule(Act::new(actor.into(), Action::Created), document, new, Origin::default()).await
    }

    /// Makes a copy of a rule, without its secrets' values and with the changes of `patch` (V4). A key that was used with one original is
    /// another key for the next one.
    pub async fn duplicate_rule(
        &self,
        actor: impl Into<Actor>,
        original: &Id,
        patch: &Value,
        new: New,
    ) -> Result<(View, bool), Refused> {
        let actor = actor.into();
        let (rule, _) = self.rules.visible(&actor.caller, original).await?;
        let document = copy(&rule.definition, &rule.head.owner, patch);
        // The owner of the copy may not learn of an original that it doesn't see (V2).
        let seen = |owner: Owner| owner == Owner::Admin || owner == rule.head.owner;
        let named = owner_of_new(&document, &actor.caller).is_ok_and(seen);
        let new = match new {
            New::IdempotencyKey(key) => New::IdempotencyKey(format!("copy of {original}: {key}")),
            random @ New::Random(_) => random,
        };
        let note = named.then(|| format!("copy of {original}"));
        let act = Act { note, ..Act::new(actor, Action::Duplicated) };
        let locked = rule.head.locked && act.actor.caller != Caller::Admin;
        let request_fingerprint = Some(patch_fingerprint(original, patch));
        self.make_rule(act, &document, new, Origin { request_fingerprint, locked }).await
    }

    /// Reads a rule as one that this caller creates, all faults at once (V2, V3).
    pub(crate) async fn read_new(&self, caller: &Caller, document: &Value) -> Result<Result<WrittenRule, Faults>, StoreError> {
        let mut faults = Faults::default();
        let owner = collect(owner_of_new(document, caller), &mut faults).unwrap_or_else(|| caller.as_owner());
        let values = collect(secret_values(document), &mut faults).unwrap_or_default();
        let definition = collect(self.read_text(caller, &owner, document.clone()).await?, &mut faults);
        if let Some(definition) = &definition {
            collect(check_count(definition, values.keys(), 0, "/secret_values"), &mut faults);
        }
        Ok(match definition {
            Some(definition) if faults.is_empty() => Ok(WrittenRule { owner, values, definition }),
            _ => Err(faults),
        })
    }

    /// Reads a rule's text as somebody wrote it, off the threads that serve everybody: compiling its expressions takes time.
    pub(super) async fn read_text(
        &self,
        caller: &Caller,
        owner: &Owner,
        document: Value,
    ) -> Result<Result<RuleDefinition, Faults>, StoreError> {
        let masters = self.rules.masters(owner, &document).await?;
        let (owner, settings) = (owner.clone(), self.definition_settings());
        let read = move || RuleDefinition::parse_with(&document, &owner, &settings, &masters);
        Ok(self.heavy.run(Some(caller.as_owner()), read).await)
    }

    /// Returns false if a rule that is as it was made has other values of its secrets than these.
    async fn has_values(&self, rule: &Rule, values: &BTreeMap<String, String>) -> Result<bool, Refused> {
        if rule.head.version > 1 || values.is_empty() {
            return Ok(true);
        }
        let stored = self.rules.secrets(rule).await?;
        Ok(stored.is_none_or(|stored| values.iter().all(|(name, value)| stored.get(name) == Some(value))))
    }

    async fn make_rule(&self, act: Act, document: &Value, new: New, origin: Origin) -> Result<(View, bool), Refused> {
        let now = self.store.now();
        let WrittenRule { owner, values, definition } = self.read_new(&act.actor.caller, document).await??;
        self.check_mirrors(None, &definition).await?;
        let id = new_id(&new, &owner, now);
        let Origin { request_fingerprint, locked } = origin;
        if locked && definition.active {
            return Err(Refused::Conflict(LOCKED.to_owned()));
        }
        let request_fingerprint = request_fingerprint.unwrap_or_else(|| fingerprint(&definition, &values));
        let repeatable = matches!(new, New::IdempotencyKey(_));
        let mut is_charged = false;
        loop {
            let mut over = Over::Nothing;
            if repeatable {
                if let Some((rule, _)) = self.rules.read_rule(&id).await? {
                    if rule.head.request_fingerprint != request_fingerprint || !self.has_values(&rule, &values).await? {
                        return Err(Refused::Conflict("this Idempotency-Key made another rule before: use a new key".to_owned()));
                    }
                    return Ok((self.rules.view(&rule).await?, false));
                }
                match self.rules.read_head(&id).await? {
                    Some((head, rev)) if head.deleted => over = Over::Tombstone(Box::new(head), rev),
                    Some(_) => continue,
                    None => {}
                }
            }
            self.limits.charge_change(&act.actor, &mut is_charged).await?;
            let mut head = RuleHead {
                version: over.head().map_or(1, |head| head.version + 1),
                write_id: String::new(),
                live: false,
                owner: owner.clone(),
                epoch: over.head().map_or(0, |head| head.epoch + 1),
                secrets: BTreeMap::new(),
                bindings: BTreeMap::new(),
                unbound: BTreeMap::new(),
                anchors: Vec::new(),
                request_fingerprint: request_fingerprint.clone(),
                text: None,
                webhook: None,
                deleted: false,
                paused_since: None,
                locked,
                created_at: now,
                updated_at: now,
            };
            let sealed = self.rules.seal(&act, &id, None, &mut head, &definition, &values).await?;
            if let Some(affiliate) = owner.affiliate() {
                self.take_place(affiliate, &id, head.version).await?;
            }
            head.note_pause(&definition);
            head.live = head.fires(&definition);
            match self.write_rule(&act, id.clone(), over, head, definition.clone(), sealed).await {
                Err(Refused::Changed { .. } | Refused::NotFound) if repeatable => {}
                written => return Ok((self.rules.view(&written?).await?, true)),
            }
        }
    }
}

/// The fingerprint of a request to make a rule; of its secrets only the names.
fn fingerprint(definition: &RuleDefinition, secrets: &BTreeMap<String, String>) -> String {
    let document = definition.document().to_string();
    let parts: Vec<&str> = ["made of", &document].into_iter().chain(secrets.keys().map(String::as_str)).collect();
    hash::text(&parts, 25)
}

/// The fingerprint of a request to copy a rule, whatever happened to the original meanwhile; of its secrets only the names.
fn patch_fingerprint(original: &Id, patch: &Value) -> String {
    let mut patch = patch.clone();
    if let Some(values) = patch.get_mut("secret_values").and_then(Value::as_object_mut) {
        for value in values.values_mut() {
            *value = Value::Null;
        }
    }
    hash::text(&["copy of", original.as_str(), &patch.to_string()], 25)
}

/// Rule ids sort like the times at which they were made.
fn new_id(new: &New, owner: &Owner, now: Timestamp) -> Id {
    let id = match new {
        New::Random(dice) => {
            let dice = u128::from_be_bytes(*dice).to_string();
            format!("trk_{}{}", keys::sortable(now), hash::text(&["rule", &dice], 10))
        }
        New::IdempotencyKey(key) => {
            let owner = keys::owned(owner);
            format!("trk_{}", hash::text(&["idempotency", &owner, key], 24))
        }
    };
    id.parse().expect("a prefix and lower-case letters and digits are an id")
}
