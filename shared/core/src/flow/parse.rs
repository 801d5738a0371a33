//! Reading `steps` of a rule: all faults at once (W9).

use super::{
    Call, Case, Kind, MAX_STEPS, Plan, Step, check::check, emit::Emit, listen::Listen, mirror::Masters, target::Target,
    wait::Wait,
};
use crate::{
    answer::{AnswerRules, TextRules, Within, assign::Assignments},
    caller::Owner,
    document::{Fields, kind},
    fault::Faults,
    json,
    json::Value,
    request::Request,
    retry::RetryPolicy,
    template::{Allowed, Place, Template},
    when::When,
};

/// The most runs of a step, the first included; also the default (W2).
pub const MAX_RUNS: u32 = 31;
/// The most answer rules of a step, and the most cases of a switch.
const MAX_CASES: usize = 20;
/// The longest name of a step, in bytes.
const MAX_NAME: usize = 64;
/// The longest title, in characters.
const MAX_TITLE: usize = 200;
/// The longest reason, as it is written, in bytes.
const MAX_REASON: usize = 1_024;

/// The keys that name the kind of a step.
const KINDS: [&str; 8] = ["call", "set", "switch", "wait", "listen", "emit", "end", "fail"];
/// The fields of any step.
const FIELDS: [&str; 6] = ["name", "title", "when", "unless", "go", "max_runs"];
/// The fields of a step with a request.
const CALL_FIELDS: [&str; 3] = ["answer", "retry", "on_exhausted"];

/// The owner of the rule, and the allowed contents of its texts.
#[derive(Clone, Copy)]
struct Context<'a> {
    owner: &'a Owner,
    /// The mirrored steps.
    masters: &'a Masters,
    allowed: Allowed,
}

impl Plan {
    /// Reads `steps` of a rule. Every fault is added to `faults`; then there is no plan.
    pub fn parse(value: &Value, (owner, masters): (&Owner, &Masters), allowed: Allowed, faults: &mut Faults) -> Option<Self> {
        let before = faults.count();
        let Some(items) = value.as_array() else {
            faults.add("/steps", format!("{} is not a list: write [{{…}}] with the steps in order", kind(value)));
            return None;
        };
        if items.is_empty() || items.len() > MAX_STEPS {
            faults.add("/steps", format!("expected 1 to {MAX_STEPS} steps, got {}", items.len()));
        }
        let context = Context { owner, masters, allowed };
        let items = items.iter().take(MAX_STEPS).enumerate();
        let steps: Vec<Step> = items.filter_map(|(i, item)| read_step(item, &format!("/steps/{i}"), context, faults)).collect();
        if faults.count() > before {
            return None;
        }
        let plan = Self::of(steps, false);
        check(&plan, faults);
        (faults.count() == before).then_some(plan)
    }
}

fn read_step(item: &Value, pointer: &str, context: Context<'_>, faults: &mut Faults) -> Option<Step> {
    if !item.is_object() {
        faults.add(pointer, format!("{} is not a step: write {{…}} with name and one of {}", kind(item), KINDS.join(", ")));
        return None;
    }
    let expanded = context.masters.expand(item, pointer, context.allowed.stored, faults);
    let (item, reflects) = match &expanded {
        Some((item, reflects)) => (item, Some(Box::new(reflects.clone()))),
        None if item.get("mirror").is_some() => return None,
        None => (item, None),
    };
    let known = [&FIELDS[..], &KINDS, &CALL_FIELDS, &["on_timeout"]].concat();
    let fields = Fields::open(Some(item), pointer, &known, &[], faults);
    let name = read_name(&fields, faults);
    let title = fields.text("title", faults);
    if title.is_some_and(|title| title.chars().count() > MAX_TITLE) {
        faults.add(fields.at("title"), format!("expected at most {MAX_TITLE} characters"));
    }
    let mut list = |key| fields.get(key).is_some().then(|| When::parse(&fields, key, context.allowed, faults));
    let (when, unless) = (list("when"), list("unless"));
    let go = fields.text("go", faults).map(Target::of);
    let max_runs = fields.integer("max_runs", 1..=MAX_RUNS, "runs", faults);
    let kind = read_kind(&fields, pointer, context, faults);
    Some(Step { name: name?.into(), title: title.map(Into::into), when, unless, go, max_runs, reflects, kind: kind? })
}

fn read_name<'v>(fields: &Fields<'v>, faults: &mut Faults) -> Option<&'v str> {
    if fields.get("name").is_none() {
        faults.add(fields.at("name"), "required: 1 to 64 of A-Z a-z 0-9 _ -");
    }
    let name = fields.text("name", faults)?;
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_allowed) {
        faults.add(fields.at("name"), "expected 1 to 64 of A-Z a-z 0-9 _ -");
        return None;
    }
    if matches!(name, "end" | "fail") {
        faults.add(fields.at("name"), format!("{name} is where a flow ends: choose another name"));
        return None;
    }
    Some(name)
}

fn read_kind(fields: &Fields<'_>, pointer: &str, context: Context<'_>, faults: &mut Faults) -> Option<Kind> {
    let given: Vec<&str> = KINDS.into_iter().filter(|key| fields.get(key).is_some()).collect();
    let [key] = given[..] else {
        let got = if given.is_empty() { "none".to_owned() } else { given.join(" and ") };
        faults.add(pointer, format!("expected one of {}, mirror, got {got}", KINDS.join(", ")));
        return None;
    };
    if key != "call" {
        fields.refuse(&CALL_FIELDS, "it belongs to a step with call", faults);
    }
    if key != "listen" {
        fields.refuse(&["on_timeout"], "it belongs to a step with listen", faults);
    }
    if matches!(key, "end" | "fail") {
        fields.refuse(&["go", "max_runs"], "nothing follows the end of a flow", faults);
    }
    let (value, at) = (fields.get(key)?, fields.at(key));
    let kind = match key {
        "call" => Kind::Call(Box::new(read_call(value, fields, pointer, context, faults)?)),
        "set" => {
            let inner = Fields::open(Some(value), &at, &["variables"], &[], faults);
            let rules = TextRules { allowed: context.allowed, may_keep: true, may_read_secrets: true };
            let set = Assignments::parse(inner.get("variables"), &inner.at("variables"), rules, faults);
            if set.is_empty() {
                faults.add(inner.at("variables"), "required: write {\"name\": \"template\"}");
            }
            Kind::Set(set)
        }
        "switch" => Kind::Switch(read_cases(fields, context, faults)),
        "emit" => {
            if *context.owner != Owner::Admin {
                faults.add(pointer, "a step with emit belongs to an admin's rule: the event goes to the platform's bus");
            }
            Kind::Emit(Box::new(Emit::parse(value, &at, context.allowed, faults)?))
        }
        "listen" => {
            let listen = Listen::parse(value, fields, pointer, (context.owner, context.allowed), faults)?;
            check_rules(&listen.answer, &listen.answer_pointer(), faults);
            Kind::Listen(Box::new(listen))
        }
        "wait" => Kind::Wait(Box::new(Wait::parse(value, &at, context.allowed, faults)?)),
        "end" => Kind::End(read_reason(value, &at, context, faults)),
        _ => Kind::Fail(read_reason(value, &at, context, faults)),
    };
    Some(kind)
}

fn read_call(value: &Value, fields: &Fields<'_>, pointer: &str, context: Context<'_>, faults: &mut Faults) -> Option<Call> {
    let request = Request::parse(value, &fields.at("call"), context.allowed, faults);
    let answer = AnswerRules::parse(fields.get("answer"), &fields.at("answer"), context.owner, Within::Flow, faults);
    check_rules(&answer, &fields.at("answer"), faults);
    let retry = RetryPolicy::parse(fields.get("retry"), &fields.at("retry"), faults);
    let on_exhausted = fields.text("on_exhausted", faults).map(Target::of);
    let goes = answer.goes().map(|(place, go, then)| (place, Target::of(go), then)).collect();
    Some(Call { request: request?, answer, retry, on_exhausted, goes, at: pointer.into() })
}

fn check_rules(answer: &AnswerRules, at: &str, faults: &mut Faults) {
    if answer.count() > MAX_CASES {
        let detail = format!("expected at most {MAX_CASES} answer rules in a step, got {}", answer.count());
        faults.add(format!("{at}/rules"), detail);
    }
}

fn read_cases(fields: &Fields<'_>, context: Context<'_>, faults: &mut Faults) -> Vec<Case> {
    let items = fields.list("switch", faults);
    if fields.get("switch").is_some_and(Value::is_array) && (items.is_empty() || items.len() > MAX_CASES) {
        faults.add(fields.at("switch"), format!("expected 1 to {MAX_CASES} cases with when and go, got {}", items.len()));
    }
    let mut cases = Vec::new();
    for (i, item) in items.iter().take(MAX_CASES).enumerate() {
        let at = format!("{}/{i}", fields.at("switch"));
        if !item.is_object() {
            faults.add(at, format!("{} is not a case: write {{…}} with when and go", kind(item)));
            continue;
        }
        let fields = Fields::open(Some(item), &at, &["when", "go"], &[], faults);
        let when = When::parse(&fields, "when", context.allowed, faults);
        if fields.get("go").is_none() {
            faults.add(fields.at("go"), "required: a step, end or fail");
        }
        let go = fields.text("go", faults).map(Target::of);
        cases.extend(go.map(|go| Case { when, go }));
    }
    cases
}

fn read_reason(value: &Value, at: &str, context: Context<'_>, faults: &mut Faults) -> Option<Template> {
    let empty = json!({});
    let value = if value.as_bool() == Some(true) { &empty } else { value };
    let fields = Fields::open(Some(value), at, &["reason"], &[], faults);
    let text = fields.text("reason", faults)?;
    let reason = Template::read(text, &fields.at("reason"), (Place::Plain, MAX_REASON), context.allowed, faults)?;
    if reason.secrets().next().is_some() {
        faults.add(fields.at("reason"), "a reason may not hold a secret: everybody reads it");
    }
    Some(reason)
}
