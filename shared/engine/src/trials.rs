//! Trying a rule out: the request that would be sent and why, with every macro's value, and a receiver's response to it.
//!
//! A trial makes no delivery, publishes nothing and keeps nothing; people see it masked as the log is (Q5). The process's log names for
//! each sent trial the sender (admin or affiliate), the rule and the host, and nothing more.

mod flow;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use jiff::Timestamp;
use tracking_core::{
    answer::ExtractedData,
    caller::{Actor, Caller, Owner},
    change::Change,
    delivery::DeliveryId,
    event::Event,
    fault::{Faults, pointer_token, unknown},
    id::Id,
    json,
    json::Value,
    matching::{EventVerdict, RuleMatcher},
    request::{Rendered, Timeout},
    tracking_api::{RuleDefinition, Trial},
};

use self::flow::{Rehearsal, ToSend};
use crate::{
    backend::{Backend, StoreError},
    delivery::render::{Judged, Rendering, is_heavy, masked, shown_request},
    heavy::HeavyWork,
    limits::{self, DryTrials, Limits},
    log::explain::show_verdicts,
    rows::headers_view,
    rules::{Refused, Rule, RuleWriter, Rules, WrittenRule, is_live, kept::KeptVariables},
    secrets::{INACTIVE, MASK, Scrubber, masks},
    sender::{SendFault, Sender},
    store::Store,
};

/// The most macros that are shown.
const MOST_MACROS: usize = 1_000;
/// The most bytes of all macros that are shown, except the last.
const MAX_MACRO_BYTES: usize = 256 * 1024;
/// The most bytes of a body that a trial shows.
const SHOWN_BODY: usize = 256 * 1024;
/// The most bytes of a macro's value and text that are shown.
const MAX_SHOWN_TEXT_BYTES: usize = 2_048;
/// The text in place of the id of a rule that is not saved.
const PREVIEW: &str = "trk_preview";
/// The number of times that a rule is read whose secrets are being replaced at the same time.
const READS: usize = 3;

/// A rule that is tried out.
struct TrialRule {
    id: Id,
    owner: Owner,
    definition: Arc<RuleDefinition>,
    live: bool,
    /// The person who tries it out.
    by: Actor,
    /// Values of its secrets, or masks of them where nothing is sent (Q5).
    secrets: Arc<BTreeMap<String, String>>,
    /// `true` if they are of more than one party.
    two_parties: bool,
    /// The kept variables of the rule, where it is sent (W5).
    kept: KeptVariables,
    /// The address at which receivers reach us.
    public_url: Option<String>,
}

/// The outcome of a trial, before anything is sent.
struct Outcome {
    shown: Value,
    /// The event that was rendered, if there was one.
    event: Option<Event>,
    /// The request as people may see it.
    seen: Option<Rendered>,
}

/// Tries rules out without a delivery.
#[derive(Debug)]
pub struct Trials<B> {
    store: Arc<Store<B>>,
    rules: Arc<Rules<B>>,
    writer: Arc<RuleWriter<B>>,
    limits: Arc<Limits<B>>,
    dry: DryTrials,
    heavy: Arc<HeavyWork>,
}

impl<B: Backend> Trials<B> {
    /// The service over these.
    pub(crate) fn new(writer: &Arc<RuleWriter<B>>, limits: &Arc<Limits<B>>, heavy: &Arc<HeavyWork>) -> Self {
        Self {
            store: Arc::clone(&writer.store),
            rules: Arc::clone(&writer.rules),
            writer: Arc::clone(writer),
            limits: Arc::clone(limits),
            dry: DryTrials::default(),
            heavy: Arc::clone(heavy),
        }
    }

    /// Tries out a saved rule, if the caller may see it: `body` is `{"event": …, "send": false}` (docs/api.md).
    ///
    /// # Errors
    /// Faults of the body; a secret without a value when it is to be sent; too many trials of the caller.
    pub async fn test_rule(&self, actor: impl Into<Actor>, id: &Id, body: &Value, sender: &Sender) -> Result<Value, Refused> {
        let by = actor.into();
        let (rule, _) = self.rules.visible(&by.caller, id).await?;
        let trial = Trial::parse(body)?;
        if !trial.send {
            self.dry.take(&by.caller, self.store.now())?;
        }
        let (rule, secrets) = self.trial_secrets(&by.caller, rule, trial.send).await?;
        let kept = if trial.send { self.rules.kept(&rule).await? } else { KeptVariables::default() };
        let Rule { id, head, definition } = rule;
        let two_parties = head.is_of_two_parties();
        let public_url = self.store.settings.public_url.clone();
        let tried =
            TrialRule { id, owner: head.owner.clone(), definition, live: head.live, by, secrets, two_parties, kept, public_url };
        self.try_out(tried, trial, sender).await
    }

    /// Tries out a rule that is not saved: `body` holds it as `tracking_api`, with the `secret_values` of this one call. Nothing of it is
    /// kept.
    ///
    /// # Errors
    /// Faults of the rule and of the event, all at once; a secret without a value when it is to be sent; too many trials of the caller.
    pub async fn preview_rule(&self, actor: impl Into<Actor>, body: &Value, sender: &Sender) -> Result<Value, Refused> {
        let by = actor.into();
        // A trial that may not be sent is refused before it counts. Reading a rule takes time, so that each that is read counts.
        if Trial::asks_to_send(body) {
            self.limits.may_permit(&by, &limits::TRIALS).await?;
        }
        self.dry.take(&by.caller, self.store.now())?;
        let mut faults = Faults::default();
        let (trial, written) = Trial::parse_with_rule(body, &mut faults);
        let mut whole = None;
        if let Some((document, pointer)) = written {
            match self.writer.read_new(&by.caller, document).await? {
                Ok(read) => whole = Some(read),
                Err(more) => faults.append(more.below(pointer)),
            }
        }
        let Some(WrittenRule { owner, values, definition }) = whole.filter(|_| faults.is_empty()) else {
            return Err(faults.into());
        };
        let id = PREVIEW.parse().map_err(|_| StoreError::Unavailable("the preview has no id".to_owned()))?;
        let live = is_live(&definition, &values);
        let tried = TrialRule {
            id,
            owner,
            definition: Arc::new(definition),
            live,
            by,
            secrets: Arc::new(values),
            two_parties: false,
            kept: KeptVariables::default(),
            public_url: self.store.settings.public_url.clone(),
        };
        self.try_out(tried, trial, sender).await
    }

    /// The values with which a rule's secrets are rendered: their own if it is to be sent, else masks.
    async fn trial_secrets(
        &self,
        caller: &Caller,
        mut rule: Rule,
        send: bool,
    ) -> Result<(Rule, Arc<BTreeMap<String, String>>), Refused> {
        if !send {
            let mut masks = masks(&rule.head.secrets);
            masks.extend(rule.head.unbound_names(&rule.definition).into_iter().map(|name| (name, INACTIVE.to_owned())));
            return Ok((rule, Arc::new(masks)));
        }
        for _ in 0..READS {
            if let Some((reason, _)) = rule.head.unbound(&rule.definition) {
                return Err(Refused::Conflict(reason));
            }
            if let Some(values) = self.rules.secrets(&rule).await? {
                return Ok((rule, values));
            }
            (rule, _) = self.rules.visible(caller, &rule.id).await?;
        }
        Err(StoreError::Contended(format!("the secrets of rule {}", rule.id)).into())
    }

    async fn try_out(&self, tried: TrialRule, trial: Trial, sender: &Sender) -> Result<Value, Refused> {
        let at = self.store.now();
        tracing::debug!(tracking_api_id = %tried.id, sent = trial.send, "tried out");
        check_steps(&tried.definition, &trial)?;
        if !trial.send {
            if tried.definition.plan.is_flow() {
                return Box::pin(self.rehearse(tried, trial, None, at)).await;
            }
            let owner = tried.definition.is_heavy.then(|| tried.by.caller.as_owner());
            return Ok(self.heavy.run(owner, move || tried.outcome(trial.event, at).shown).await);
        }
        let names = tried.definition.secret_names();
        if let Some(name) = names.iter().find(|name| !tried.secrets.contains_key(*name)) {
            return Err(Refused::Conflict(format!("secret {name} has no value yet: write it, or try without send")));
        }
        let permit = self.limits.permit(&tried.by, &limits::TRIALS).await?;
        if tried.definition.plan.is_flow() {
            let rehearsed = Box::pin(self.rehearse(tried, trial, Some(sender), at)).await;
            self.limits.return_permit(permit).await;
            return rehearsed;
        }
        let Outcome { mut shown, event, seen } = tried.outcome(trial.event, at);
        if let Some(event) = event {
            self.send_trial(&mut shown, tried, (event, seen), at, sender).await;
        }
        self.limits.return_permit(permit).await;
        Ok(shown)
    }

    /// Goes through the steps of a flow, and shows each.
    async fn rehearse(
        &self,
        tried: TrialRule,
        trial: Trial,
        sender: Option<&Sender>,
        began: Timestamp,
    ) -> Result<Value, Refused> {
        let Trial { event, answers, .. } = trial;
        let tried = Arc::new(tried);
        let owner = || Some(tried.by.caller.as_owner());
        let Outcome { mut shown, event, .. } = {
            let tried = Arc::clone(&tried);
            self.heavy.run(owner(), move || tried.outcome(event, began)).await
        };
        let Some(event) = event else { return Ok(shown) };
        let mut rehearsal = Rehearsal::new(Arc::clone(&tried), event, (sender.is_some(), answers), began);
        let mut heard = None;
        loop {
            let (mut gone, now) = (rehearsal, self.store.now());
            let next;
            (rehearsal, next) = self
                .heavy
                .run(owner(), move || {
                    let next = gone.go_on(heard, now);
                    (gone, next)
                })
                .await;
            let (Some(ToSend { request, host }), Some(sender)) = (next, sender) else { break };
            tracing::info!(tracking_api_id = %tried.id, by = tried.by.caller.role(), host, "a trial is sent");
            heard = Some(match request {
                Ok(request) => sender.request_for(&tried.owner, request).await,
                Err(fault) => Err(fault.into()),
            });
        }
        let flow::Shown { steps, ends, .. } = rehearsal.shown;
        if let Some(last) = steps.iter().rev().find(|step| step.get("verdict").is_some()) {
            for field in ["status", "answer", "answer_headers", "verdict", "told"] {
                shown[field] = last[field].clone();
            }
        }
        shown["sent"] = steps.iter().any(|step| step["given"] == json!(false) && step.get("verdict").is_some()).into();
        shown["steps"] = steps.into();
        shown["ends"] = ends;
        Ok(shown)
    }

    /// Sends the request for an event, of which people have `seen` the masked form, and shows the response.
    async fn send_trial(
        &self,
        shown: &mut Value,
        tried: TrialRule,
        (event, seen): (Event, Option<Rendered>),
        at: Timestamp,
        sender: &Sender,
    ) {
        let id = DeliveryId::of_trial(&tried.id, at);
        let variables = BTreeMap::new();
        let rendering = tried.rendering(&event, id.as_str(), &variables, at);
        let (sent, asked_at) = match rendering.request() {
            Ok(mut request) => {
                request.timeout = request.timeout.min(Timeout::from_seconds(limits::LONGEST_TRIAL).unwrap_or(request.timeout));
                let asked_at = self.store.now();
                let host = tried.definition.first_host();
                tracing::info!(tracking_api_id = %tried.id, by = tried.by.caller.role(), host, "a trial is sent");
                (sender.request_for(&tried.owner, request).await, Some(asked_at))
            }
            Err(fault) => (Err(fault.into()), None),
        };
        let duration = asked_at.map(|asked_at| self.store.now().duration_since(asked_at).as_millis());
        let went_out = sent.as_ref().err().is_none_or(SendFault::may_have_left);
        let owner = is_heavy(&sent).then(|| tried.by.caller.as_owner());
        let understand = move || {
            let rendering = tried.rendering(&event, id.as_str(), &variables, at);
            let scrubber = rendering.scrubber(seen.as_ref(), tried.two_parties);
            let sent = masked(sent, &scrubber);
            let (sent, judged) = rendering.read(sent, seen.as_ref(), &scrubber);
            (rendering.heard(&sent, &judged, &scrubber), judged.verdict, shown_extracted(&judged, &scrubber))
        };
        let (heard, verdict, extracted) = self.heavy.run(owner, understand).await;
        shown["sent"] = went_out.into();
        shown["duration_ms"] = json!(duration.filter(|_| went_out).map(|duration| u64::try_from(duration).unwrap_or(0)));
        shown["status"] = json!(heard.status);
        shown["answer"] = json!(heard.answer);
        shown["answer_headers"] = json!(heard.status.map(|_| headers_view(&heard.answer_headers)));
        shown["error"] = json!(heard.error);
        shown["verdict"] = verdict.as_str().into();
        shown["told"] = extracted;
    }
}

impl TrialRule {
    /// The outcome of a trial, before anything is sent.
    fn outcome(&self, given: Option<Change>, at: Timestamp) -> Outcome {
        let sample = given.is_none();
        let change = given.unwrap_or_else(|| Change::sample(self.owner.affiliate(), at));
        let explained = self.candidate().explain(&change, &mut None, at);
        let mut shown = json!({
            "fires": explained.fires, "held": explained.held, "verdicts": [], "sample": sample,
            "event": null, "transaction_id": null, "request": null, "macros": [],
            "error": "nothing changed in this event: there is nothing to send",
            "sent": false, "status": null, "duration_ms": null, "answer": null, "answer_headers": null, "verdict": null, "told": null,
            "warnings": self.definition.warnings(), "schedule": self.definition.plan.first_call().retry.schedule(),
        });
        show_verdicts(&mut shown, &explained.verdicts);
        let Some(verdict) = rendered_one(&explained.verdicts) else {
            return Outcome { shown, event: None, seen: None };
        };
        let event = verdict.postback_event.clone();
        shown["event"] = json!(verdict.event);
        shown["transaction_id"] = json!(verdict.transaction_id);
        let id = DeliveryId::of_trial(&self.id, at);
        let variables = BTreeMap::new();
        let rendering = self.rendering(&event, id.as_str(), &variables, at);
        show_macros(&mut shown, &rendering, &change);
        let seen = rendering.shown();
        shown["error"] = json!(seen.as_ref().err().map(ToString::to_string));
        let seen = seen.ok();
        shown["request"] = json!(seen.clone().map(|seen| shown_request(seen, SHOWN_BODY).view()));
        Outcome { shown, event: Some(event), seen }
    }

    fn rendering<'a>(
        &'a self,
        event: &'a Event,
        delivery_id: &'a str,
        variables: &'a BTreeMap<String, String>,
        at: Timestamp,
    ) -> Rendering<'a> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        Rendering {
            rule: &self.id,
            definition: &self.definition,
            event,
            delivery_id,
            attempt: 1,
            flow: None,
            is_test: true,
            at,
            secrets: &self.secrets,
            variables,
            secret_variables: &NONE,
        }
    }

    fn candidate(&self) -> RuleMatcher<'_> {
        RuleMatcher { id: &self.id, owner: &self.owner, definition: &self.definition, live: self.live, secrets: &self.secrets }
    }
}

/// The event that is rendered: the first that fires; else the first that the trigger fires on; else the first.
fn rendered_one(verdicts: &[EventVerdict]) -> Option<&EventVerdict> {
    let triggers = |verdict: &&EventVerdict| verdict.reasons.iter().all(|reason| reason.condition != "trigger");
    let fires = verdicts.iter().find(|verdict| verdict.fires);
    fires.or_else(|| verdicts.iter().find(triggers)).or(verdicts.first())
}

/// Shows every macro of the request, once for each place, with its value and its source, secrets masked; of very many the first.
fn show_macros(shown: &mut Value, rendering: &Rendering<'_>, change: &Change) {
    let hidden = masks(rendering.secrets);
    let scope = rendering.scope(&hidden, None);
    let request = &rendering.call().request;
    // Where the variables can't be rendered, the request says why.
    let bound = request.bound(&scope).ok();
    let scope = bound.as_ref().map_or_else(|| scope.clone(), |bound| scope.with(bound));
    let mut macros = Vec::new();
    let mut room = MAX_MACRO_BYTES;
    let all = request
        .placed_templates_in(&scope)
        .flat_map(|(place, template)| template.trace(&scope, &change.transactions).map(move |traced| (place.clone(), traced)));
    for (place, traced) in all {
        if macros.len() == MOST_MACROS || room == 0 {
            shown["shortened"] = true.into();
            break;
        }
        let item = json!({
            "place": place, "macro": traced.written, "name": traced.name, "from": traced.from,
            "value": shortened(traced.value), "text": shortened(traced.text), "missing": traced.missing,
        });
        room = room.saturating_sub(item.to_string().len());
        macros.push(item);
    }
    shown["macros"] = macros.into();
}

/// Refuses answers for steps that the rule does not have.
fn check_steps(definition: &RuleDefinition, trial: &Trial) -> Result<(), Faults> {
    let names: Vec<&str> = definition.plan.step_names().collect();
    let mut faults = Faults::default();
    for step in trial.answers.keys().filter(|step| !names.contains(&step.as_str())) {
        let at = format!("/answers/{}", pointer_token(step));
        let none = "the rule has no steps: answers are for those, leave them out".to_owned();
        faults.add(at, if names.is_empty() { none } else { unknown("step", step, &names) });
    }
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_SHOWN_TEXT_BYTES {
        text.truncate(text.floor_char_boundary(MAX_SHOWN_TEXT_BYTES));
        text.push('…');
    }
    text
}

/// The values that the answer rules would set, those of secret variables masked; nothing if they set nothing.
fn shown_extracted(judged: &Judged, scrubber: &Scrubber) -> Value {
    let mut extracted = judged.extracted.clone();
    if extracted == ExtractedData::default() {
        return Value::Null;
    }
    extracted.external_id = extracted.external_id.as_deref().map(|id| scrubber.scrub(id));
    for (name, value) in &mut extracted.variables {
        if judged.hidden.contains(name) {
            MASK.clone_into(value);
        }
    }
    json!(extracted)
}
