//! The text of a rule that a person writes, checked as a whole.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use super::Delay;
use crate::{
    answer::{AnswerRules, Within, upgraded},
    caller::Owner,
    conditions::Conditions,
    document::{Fields, kind},
    fault::{Faults, unknown},
    flow::{Masters, Plan, check_secrets},
    json,
    json::{Map, Value},
    request::{Request, Signing, Variables, refuse_signature_headers},
    retry::RetryPolicy,
    template::Allowed,
    trigger::Trigger,
};

/// The longest rule, in bytes of JSON: 64 KiB.
pub const MAX_RULE_BYTES: usize = 64 * 1_024;
/// The length up to which a rule without regular expressions is light, in bytes.
const LIGHT_RULE_BYTES: usize = 8 * 1024;
/// The memory of one value of a condition, in bytes: an id of 16 to 128 bytes, its place and its number.
const ID_BYTES: usize = 96;
/// The longest name, in characters.
const MAX_NAME: usize = 200;
/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 2_000;
/// The most labels, and the longest one in characters.
const MAX_LABELS: usize = 10;
const MAX_LABEL: usize = 50;

/// The fields that a person writes.
const WRITTEN: [&str; 16] = [
    "name",
    "description",
    "labels",
    "active",
    "pause",
    "trigger",
    "conditions",
    "request",
    "variables",
    "retry",
    "answer",
    "steps",
    "on_newer",
    "delay",
    "rate_per_second",
    "signing",
];

/// The fields that a person writes and that other code reads; values of secrets are never stored here.
const READ_ELSEWHERE: [&str; 2] = ["owner", "secret_values"];

/// The fields that the server sets, ignored so that GET → PUT works.
const SERVER_SET: [&str; 14] = [
    "webhook_id",
    "locked_by_admin",
    "id",
    "health",
    "inactive_reason",
    "schedule",
    "warnings",
    "version",
    "country",
    "category",
    "secrets",
    "created_at",
    "updated_at",
    ANSWER_FORMAT.0,
];

/// The mark of a stored text whose conditions have patterns and macros. Older texts have no mark.
const ANSWER_FORMAT: (&str, u8) = ("answer_format", 2);

/// The settings of the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// `true` if receivers may have private addresses (`--allow-private-targets`).
    pub private_targets: bool,
    /// `true` if the rule is read from the store: faults and limits that were introduced after it was accepted do not refuse it.
    /// An expression over a limit takes no memory and never matches; a template that uses it gives no text.
    pub stored: bool,
    /// `true` if receivers can reach us at a public address (`--public-url`), so that requests may hold callback URLs (W17).
    pub has_public_url: bool,
}

/// A rule as a person wrote it, with defaults filled in and without faults.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each says yes or no to something of its own")]
pub struct RuleDefinition {
    /// The name for people: 1 to 200 characters without control characters.
    pub name: String,
    /// A description by people, up to 2 000 characters.
    pub description: Option<String>,
    /// Words to find it by: 10 at most, each once.
    pub labels: Vec<String>,
    /// `true` if the rule is switched on; it reads inactive while a secret has no value (V4).
    pub active: bool,
    /// `true` if the rule is paused: its deliveries wait instead of being sent, for 72 hours at most.
    pub pause: bool,
    /// The events on which it fires (T1–T6).
    pub trigger: Trigger,
    /// The conditions on conversions.
    pub conditions: Conditions,
    /// The steps: requests, the reading of their responses, and their retries (W1). A rule with one request has one step.
    pub plan: Plan,
    /// The continuation of a flow that waits when a newer change of its subject is sent (W4).
    pub on_newer: OnNewer,
    /// The delay before it sends, such as the wait for the settled conversion (F1–F4).
    pub delay: Delay,
    /// The most requests a second, 1 to 1 000; `None` means no limit of its own.
    pub rate_per_second: Option<u32>,
    /// `true` if rendering it or judging a response may take milliseconds: it has regular expressions, or it is long.
    pub is_heavy: bool,
    /// `true` if its text was stored when answers compared numbers as texts.
    pub(crate) compared_texts: bool,
    /// Fingerprints of the uses of its secrets, computed on first use.
    pub(crate) uses: OnceLock<BTreeMap<String, String>>,
}

impl RuleDefinition {
    /// Reads a rule of this owner. A rule that is too large is not read further. An affiliate's rule is about itself, even if it does not
    /// say so (V3).
    ///
    /// # Errors
    /// All faults at once, each with its JSON pointer.
    pub fn parse(document: &Value, owner: &Owner, settings: &Settings) -> Result<Self, Faults> {
        Self::parse_with(document, owner, settings, &Masters::default())
    }

    /// The same with the steps that its mirrors use (W19).
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn parse_with(document: &Value, owner: &Owner, settings: &Settings, masters: &Masters) -> Result<Self, Faults> {
        let compared_texts = settings.stored && document.get(ANSWER_FORMAT.0).is_none();
        let (document, mut faults) = if settings.stored {
            (Cow::Owned(Self::current(document.clone())), Faults::of_stored_rule())
        } else {
            (Cow::Borrowed(document), Faults::default())
        };
        let definition = Self::read(&document, (owner, masters), *settings, &mut faults);
        definition.filter(|_| faults.is_empty()).map(|definition| Self { compared_texts, ..definition }).ok_or(faults)
    }

    /// The same rule switched off, paused or resumed by a document that changes nothing else; `None` if the document does more. Limits that
    /// became tighter after the rule was accepted do not prevent it.
    pub fn switched(&self, document: &Value) -> Option<Self> {
        let switch = |name: &str, unset: bool| document.get(name).map_or(Some(unset), Value::as_bool);
        let switched = Self { active: switch("active", true)?, pause: switch("pause", false)?, ..self.clone() };
        let is_that = (self.active || !switched.active) && *document == switched.document();
        is_that.then_some(switched)
    }

    fn read(document: &Value, (owner, masters): (&Owner, &Masters), settings: Settings, faults: &mut Faults) -> Option<Self> {
        if !document.is_object() {
            faults.add("", format!("{} is not a rule: write an object with at least name and request.url", kind(document)));
            return None;
        }
        let fields = Fields::open(Some(document), "", &[&WRITTEN[..], &READ_ELSEWHERE].concat(), &SERVER_SET, faults);
        let bytes: usize = WRITTEN.iter().filter_map(|key| fields.get(key)).map(|value| value.to_string().len()).sum();
        if bytes > MAX_RULE_BYTES && !settings.stored {
            faults.add("", format!("{bytes} bytes are too many for a rule: {MAX_RULE_BYTES} are allowed"));
            return None;
        }
        let Settings { private_targets, stored, .. } = settings;
        let allowed = Allowed { admin: owner.affiliate().is_none(), private_targets, stored, ..Allowed::default() };
        let name = read_name(&fields, faults);
        let description = read_description(&fields, faults);
        let labels = read_labels(&fields, faults);
        let active = fields.flag("active", faults).unwrap_or(true);
        let pause = fields.flag("pause", faults).unwrap_or(false);
        let trigger = read_trigger(&fields, faults);
        let conditions = Conditions::parse(fields.get("conditions"), "/conditions", faults);
        let conditions = own_conditions(conditions, owner, faults);
        let plan = read_plan(&fields, (owner, masters), allowed, faults);
        let signing = read_signing(&fields, allowed, faults);
        let on_newer = fields.word("on_newer", &OnNewer::WORDS, faults).unwrap_or_default();
        let delay = Delay::parse(fields.get("delay"), "/delay", faults);
        let rate_per_second = fields.integer("rate_per_second", 1..=1_000, "requests a second", faults);
        let (name, plan) = (name?, plan?);
        let variables = read_variables(&fields, &plan, allowed, faults);
        let plan = plan.with(&variables, signing.as_ref(), delay.fixed_seconds());
        if !stored {
            check_secrets(&plan, faults);
            check_conditions(&plan, faults);
            check_published(&plan, faults);
            check_callbacks(&plan, settings, faults);
        }
        // The text does not hold the requests of mirrors.
        let is_heavy = bytes > LIGHT_RULE_BYTES || faults.expressions().count() > 0 || plan.mirrors().next().is_some();
        let uses = OnceLock::new();
        Some(Self {
            name,
            description,
            labels,
            active,
            pause,
            trigger,
            conditions,
            plan,
            on_newer,
            delay,
            rate_per_second,
            is_heavy,
            compared_texts: false,
            uses,
        })
    }

    /// The resource's form, with defaults: [`RuleDefinition::parse`] reads it, and a merge patch applies to it.
    pub fn document(&self) -> Value {
        let mut map = Map::from_iter([
            ("name".to_owned(), self.name.as_str().into()),
            ("active".to_owned(), self.active.into()),
            ("trigger".to_owned(), self.trigger.as_str().into()),
            ("conditions".to_owned(), self.conditions.document()),
            ("delay".to_owned(), self.delay.document()),
        ]);
        map.extend(self.plan.document());
        let on_newer = (self.on_newer != OnNewer::default()).then(|| self.on_newer.as_str().into());
        map.extend(on_newer.map(|word| ("on_newer".to_owned(), word)));
        map.extend(self.description.as_ref().map(|text| ("description".to_owned(), text.as_str().into())));
        let labels = (!self.labels.is_empty()).then(|| json!(self.labels));
        map.extend(labels.map(|labels| ("labels".to_owned(), labels)));
        map.extend(self.pause.then(|| ("pause".to_owned(), true.into())));
        map.extend(self.variables().document().map(|variables| ("variables".to_owned(), variables)));
        map.extend(self.rate_per_second.map(|rate| ("rate_per_second".to_owned(), rate.into())));
        map.extend(self.signing().map(|signing| ("signing".to_owned(), signing.document())));
        Value::Object(map)
    }

    /// The text to store: the resource's form, with a mark for the format of its conditions.
    pub fn stored(&self) -> Value {
        let mut document = self.document();
        document[ANSWER_FORMAT.0] = ANSWER_FORMAT.1.into();
        document
    }

    /// The resource's form of a text stored by any version, with the text's original meaning.
    pub fn current(mut stored: Value) -> Value {
        let Some(fields) = stored.as_object_mut() else { return stored };
        if fields.remove(ANSWER_FORMAT.0).is_none()
            && let Some(answer) = fields.get_mut("answer")
        {
            *answer = upgraded(answer.take());
        }
        stored
    }

    /// An estimate of the memory that the rule takes, in bytes.
    pub fn bytes(&self) -> usize {
        let ids = self.conditions.values() * ID_BYTES;
        let about = self.description.as_ref().map_or(0, String::len) + self.labels.iter().map(String::len).sum::<usize>();
        size_of::<Self>() + self.name.len() + about + ids + self.plan.bytes()
    }

    /// Names of the secrets that must have a value before the rule can be active: the request's and the signing's (Q5, V4).
    ///
    /// Answer rules name no secrets: their `set` is published in events, where no secret is allowed.
    pub fn secret_names(&self) -> BTreeSet<String> {
        let signing = self.signing().map(Signing::secret);
        let of_requests = self.plan.calls().flat_map(|call| call.request.secrets());
        of_requests.chain(self.plan.texts().secrets()).chain(signing).map(str::to_owned).collect()
    }

    /// The variables that are rendered for each request.
    pub fn variables(&self) -> &Variables {
        self.plan.first_call().request.variables()
    }

    /// The signature of its requests, if they have one.
    pub fn signing(&self) -> Option<&Signing> {
        self.plan.first_call().request.signing()
    }

    /// The receiver of its first request, as `host:port`.
    pub fn first_host(&self) -> &str {
        self.plan.first_call().request.host()
    }
}

/// The continuation of a flow that waits when a newer change of its subject is sent (W4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnNewer {
    /// It ends as superseded.
    #[default]
    Supersede,
    /// It goes on, and the newer one waits for its end.
    Finish,
}

impl OnNewer {
    const WORDS: [(&str, Self); 2] = [("supersede", Self::Supersede), ("finish", Self::Finish)];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Supersede => "supersede",
            Self::Finish => "finish",
        }
    }
}

/// Reads `steps`, or `request`, `retry` and `answer`.
fn read_plan(fields: &Fields<'_>, (owner, masters): (&Owner, &Masters), allowed: Allowed, faults: &mut Faults) -> Option<Plan> {
    if let Some(steps) = fields.get("steps") {
        let why = "a rule has steps, or one request with retry and answer";
        fields.refuse(&["request", "retry", "answer"], why, faults);
        return Plan::parse(steps, (owner, masters), allowed, faults);
    }
    let request = Request::parse(fields.get("request").unwrap_or(&json!({})), "/request", allowed, faults);
    let retry = RetryPolicy::parse(fields.get("retry"), "/retry", faults);
    let answer = AnswerRules::parse(fields.get("answer"), "/answer", owner, Within::OneRequest, faults);
    Some(Plan::of_one_request(request?, retry, answer))
}

/// Reads `signing`. No request of the rule may set its headers, unless the rule is stored.
fn read_signing(fields: &Fields<'_>, allowed: Allowed, faults: &mut Faults) -> Option<Signing> {
    let signing = Signing::parse(fields.get("signing")?, "/signing", allowed, faults)?;
    if !allowed.stored {
        refuse_signature_headers(&signing, fields.get("request"), "/request", faults);
        for (index, step) in fields.get("steps").and_then(Value::as_array).into_iter().flatten().enumerate() {
            refuse_signature_headers(&signing, step.get("call"), &format!("/steps/{index}/call"), faults);
        }
    }
    Some(signing)
}

fn read_name(fields: &Fields<'_>, faults: &mut Faults) -> Option<String> {
    if fields.get("name").is_none() {
        faults.add("/name", "required: 1 to 200 characters");
    }
    let name = fields.text("name", faults)?;
    let length = name.chars().count();
    if name.trim().is_empty() {
        faults.add("/name", "empty: write 1 to 200 characters");
    } else if length > MAX_NAME {
        faults.add("/name", format!("{length} characters are too many: write 1 to 200"));
    }
    if name.chars().any(char::is_control) {
        faults.add("/name", "holds a control character, such as a line break: write 1 to 200 others");
    }
    Some(name.to_owned())
}

fn read_description(fields: &Fields<'_>, faults: &mut Faults) -> Option<String> {
    let text = fields.text("description", faults)?;
    let length = text.chars().count();
    if length > MAX_DESCRIPTION {
        faults.add("/description", format!("{length} characters are too many: write {MAX_DESCRIPTION} at most"));
    }
    (!text.is_empty()).then(|| text.to_owned())
}

fn read_labels(fields: &Fields<'_>, faults: &mut Faults) -> Vec<String> {
    let entries = match fields.get("labels") {
        None => return Vec::new(),
        Some(Value::Array(entries)) if entries.len() <= MAX_LABELS => entries,
        Some(Value::Array(entries)) => {
            faults.add("/labels", format!("{} labels are too many: write {MAX_LABELS} at most", entries.len()));
            return Vec::new();
        }
        Some(other) => {
            faults.add("/labels", format!("{} is no list: write [\"a label\"]", kind(other)));
            return Vec::new();
        }
    };
    let mut labels: Vec<String> = Vec::with_capacity(entries.len());
    for (position, entry) in entries.iter().enumerate() {
        let label = entry.as_str().map(str::trim).unwrap_or_default();
        if label.is_empty() || label.chars().count() > MAX_LABEL || label.chars().any(char::is_control) {
            faults.add(format!("/labels/{position}"), format!("a label is a text of 1 to {MAX_LABEL} characters"));
        } else if !labels.iter().any(|known| known == label) {
            labels.push(label.to_owned());
        }
    }
    labels
}

fn read_trigger(fields: &Fields<'_>, faults: &mut Faults) -> Trigger {
    let Some(word) = fields.text("trigger", faults) else { return Trigger::default() };
    word.parse().unwrap_or_else(|_| {
        faults.add("/trigger", unknown("trigger", word, &Trigger::ALL.map(Trigger::as_str)));
        Trigger::default()
    })
}

/// Reads the variables. A variable has one source, the rule or responses; a rule's own variables are read in requests only. Every variable of a
/// mirrored request has a source.
fn read_variables(fields: &Fields<'_>, plan: &Plan, allowed: Allowed, faults: &mut Faults) -> Variables {
    let value = fields.get("variables");
    let variables = value.map(|value| Variables::parse(value, "/variables", allowed, faults)).unwrap_or_default();
    if !allowed.stored {
        plan.check_mirrored_variables(&variables, faults);
    }
    for name in variables.names().filter(|name| plan.sets_variable(name)) {
        faults.add(
            format!("/variables/{name}"),
            format!("an answer rule or a step sets {name} too: choose another name for one of them"),
        );
    }
    variables
}

/// Refuses conditions on secrets. The request, or the reading of a response, shows the result of a condition: of a secret it may only show
/// whether it is empty.
fn check_conditions(plan: &Plan, faults: &mut Faults) {
    for call in plan.calls() {
        for place in call.request.conditions_with_secrets(&call.request_pointer()) {
            faults.add(place, "reads a variable that is made with a secret: the request would reveal the secret");
        }
    }
    let secrets = plan.secret_variables();
    for (place, condition) in plan.texts().all_conditions() {
        let asks_if_empty = condition.variable().is_some_and(|(_, asks_if_empty)| asks_if_empty);
        let is_read =
            |name: &&String| condition.templates().any(|(_, template)| template.reads_secret_of(&|read| read == **name));
        if let Some(name) = secrets.iter().filter(|_| !asks_if_empty).find(is_read) {
            faults.add(place, format!("{name} is a secret variable: only is_empty and is_not_empty may ask for it"));
        }
    }
}

/// Refuses callback URLs without the address at which receivers reach us (W17).
fn check_callbacks(plan: &Plan, settings: Settings, faults: &mut Faults) {
    if plan.callback_urls().next().is_some() && !settings.has_public_url {
        let detail = "{callback_url} needs the address at which receivers reach this service: start it with --public-url, or set \
                      PublicUrl of the stack";
        faults.add("/steps", detail);
    }
}

/// Adds a fault for each secret variable in data for the platform: the data is published on the bus, which many read (W8).
fn check_published(plan: &Plan, faults: &mut Faults) {
    for (at, answer) in plan.texts().answers() {
        for (place, detail) in answer.leaks() {
            faults.add(format!("{at}{place}"), detail);
        }
    }
}

/// Limits an affiliate's rule to the affiliate: absent is filled in, another is a fault (V3).
fn own_conditions(conditions: Conditions, owner: &Owner, faults: &mut Faults) -> Conditions {
    let Some(own) = owner.affiliate() else { return conditions };
    if conditions.affiliate().iter().any(|affiliate| affiliate != own) {
        faults.add(
            "/conditions/affiliate",
            format!("another's: an affiliate's rule is about itself, leave it out or write [\"{own}\"]"),
        );
    }
    conditions.for_affiliate(own.clone())
}
