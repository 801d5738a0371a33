//! Rules, as they are shown and as they are written (docs/api.md).

use tracking_core::trigger::Trigger;
use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, anything, count, dictionary, either, flag, id, list, named, named_as, or_null, pattern, record, short,
        template, text, time, whole, word,
    },
    Thing, flow,
    form::{Form, request_conditions, secret_name},
    page, page_of_rows,
};

const BODY_FORMATS: [&str; 5] = ["none", "json", "form", "multipart", "raw"];
const VERDICTS: [&str; 4] = ["delivered", "pending", "retry", "failed"];
const SOURCES_OF_ANSWERS: [&str; 7] = ["body", "header", "http_code", "query", "constant", "macro", "variable"];
const SOURCES_OF_REQUESTS: [&str; 3] = ["macro", "variable", "constant"];
const OPERATORS: [&str; 15] = [
    "equals",
    "not_equals",
    "is_true",
    "is_false",
    "bigger_than",
    "smaller_than",
    "between",
    "string_contains",
    "string_not_contains",
    "string_starts_with",
    "string_ends_with",
    "is_empty",
    "is_not_empty",
    "matches",
    "always",
];
/// The results of transactions.
pub(super) const RESULTS: [&str; 3] = ["pending", "approved", "rejected"];

pub(super) fn things() -> Vec<Thing> {
    let both = [Form::Shown, Form::Written].map(|form| {
        [
            ("Conditions", conditions(form)),
            ("Request", request(form, true)),
            ("Retry", retry(form)),
            ("Answer", answer(form, false)),
            ("AnswerRule", answer_rule(form, false)),
            ("AnswerCondition", condition(form, "AnswerCondition")),
            ("RequestCondition", condition(form, "RequestCondition")),
            ("Value", chosen_value(form, || template("May hold macros such as {transaction_id}"))),
            ("VariableValue", chosen_value(form, || short("May hold macros such as {transaction_id}", 8 * 1_024))),
            ("Delay", delay(form)),
            ("Step", flow::step(form)),
            ("StepAnswer", answer(form, true)),
            ("StepAnswerRule", answer_rule(form, true)),
        ]
    });
    let [shown, written] = both;
    let written = written.map(|(name, thing)| (written_name(name), thing));
    let alone = [
        ("TrackingApi", shown_rule()),
        ("NewTrackingApi", written_rule(true)),
        ("TrackingApiPatch", written_rule(false)),
        ("TrackingApiPage", page_of_rows("TrackingApi")),
        ("RequestPatch", request(Form::Written, false)),
        ("Owner", owner()),
        ("NewOwner", new_owner()),
        ("BulkChange", bulk_change()),
        ("BulkResults", bulk_results()),
        ("Health", health()),
        ("Schedule", schedule()),
        ("Warning", warning()),
        ("SecretValue", secret_value()),
        ("HistoryEntry", history_entry()),
        ("HistoryPage", page("HistoryEntry")),
    ];
    shown.into_iter().chain(written).chain(alone).collect()
}

fn written_name(name: &str) -> &'static str {
    match name {
        "Conditions" => "NewConditions",
        "Request" => "NewRequest",
        "Retry" => "NewRetry",
        "Answer" => "NewAnswer",
        "AnswerRule" => "NewAnswerRule",
        "AnswerCondition" => "NewAnswerCondition",
        "RequestCondition" => "NewRequestCondition",
        "Value" => "NewValue",
        "VariableValue" => "NewVariableValue",
        "Step" => "NewStep",
        "StepAnswer" => "NewStepAnswer",
        "StepAnswerRule" => "NewStepAnswerRule",
        _ => "NewDelay",
    }
}

/// The fields of a rule that a person writes.
fn definition(described: ObjectBuilder, form: Form) -> ObjectBuilder {
    let record = form.field(described, "active", flag("True if it is switched on. It reads false while a secret has no value."));
    let triggers = word("The events that it fires on", Trigger::ALL.map(Trigger::as_str)).default(Some("transaction_all".into()));
    let record = form.field(record, "trigger", triggers);
    let record = form.field(record, "conditions", form.part("Conditions", "The conversions that it is about"));
    let record = form.extra(record, "retry", form.part("Retry", "The number and the times of retries"));
    let record = form.extra(record, "answer", form.part("Answer", "The meaning of responses; without it the status decides"));
    let steps = list("Steps in order, instead of request, retry and answer", form.part("Step", "A step"));
    let record = form.extra(record, "steps", steps.min_items(Some(1)).max_items(Some(30)));
    let on_newer = word(
        "The end of a flow that waits when a newer change of its subject is sent: `supersede` ends it, `finish` lets it go on",
        ["supersede", "finish"],
    );
    let record = form.extra(record, "on_newer", on_newer.default(Some("supersede".into())));
    let record = form.field(record, "delay", form.part("Delay", "The wait until the conversion is settled, or a fixed wait"));
    let label = short("", 50).min_length(Some(1));
    let record = form.extra(record, "description", short("A text for people", 2_000));
    let record = form.extra(record, "labels", list("Words to find it by", label).max_items(Some(10)));
    let pause = flag("While true, what it matches waits, for 72 hours at most, and goes out when it is false again");
    let record = form.extra(record, "pause", pause);
    let variables = dictionary(
        "Texts that the request reads by {var.name}, rendered again for each",
        form.part("VariableValue", "A text, or several to choose from"),
    )
    .property_names(Some(Schema::from(secret_name("").build())));
    let record = form.extra(record, "variables", variables);
    let record = form.extra(record, "rate_per_second", whole("The most requests a second", 1..=1_000));
    let signing = signing();
    form.extra(record, "signing", signing)
}

fn signing() -> ObjectBuilder {
    record("Signs requests by Standard Webhooks, or in one header if that is named")
        .has("secret", secret_name("The name of the secret that signs"))
        .may("header", short("The header that holds the signature", 1_024))
        .may("algorithm", word("The keyed hash", ["hmac_sha256", "hmac_sha1", "hmac_sha512"]).default(Some("hmac_sha256".into())))
        .may("encoding", word("The encoding of the signature", ["hex", "base64"]).default(Some("hex".into())))
        .may("prefix", short("The text before the signature: text and macros, such as `sha256=`", 64))
        .may("signed", template("The text that is signed: `{body}` and macros").default(Some("{body}".into())))
}

fn name() -> ObjectBuilder {
    short("Its name; no control characters", 200).min_length(Some(1)).pattern(Some("^[^\\x00-\\x1f\\x7f-\\x9f]+$"))
}

fn shown_rule() -> RefOr<Schema> {
    let record = record("A rule: when to send which request, and how to read the answer")
        .has("id", id("Its id"))
        .has("version", count("Grows by 1 with every change"))
        .has("owner", named_as("Owner", "The admin's side, or the affiliate whose rule it is"))
        .has("name", name())
        .may("request", named_as("Request", "The request that it sends; a rule with steps has none"))
        .has("country", text("The country of the one offer that it includes, else `global`"))
        .has("category", or_null(text("The category of the one offer that it includes")))
        .has("secrets", list("The names of its secrets that have a value", secret_name("")))
        .has("created_at", time("The time at which it was made"))
        .has("updated_at", time("The time of its last change"))
        .may(
            "webhook_id",
            short(
                "The id of its webhook, if a step waits for one: a caller with this id may send to POST /webhooks/{webhook_id}",
                64,
            ),
        )
        .may("locked_by_admin", flag("Of an affiliate's rule: an admin switched it off, and only an admin switches it on"))
        .may("inactive_reason", text("The reason why it is inactive although it was switched on"))
        .may("health", named_as("Health", "Its successes and failures of late"))
        .may("schedule", named_as("Schedule", "Its retries, laid out in times"))
        .may("warnings", list("A value that is allowed and still looks like a mistake", named("Warning")));
    definition(record, Form::Shown).into()
}

/// A rule as it is written; `complete`, or a patch of one.
fn written_rule(complete: bool) -> RefOr<Schema> {
    let about = if complete { "A rule as it is written" } else { "A merge patch of a rule" };
    let record = definition(record(about), Form::Written);
    let record = if complete {
        record
            .has("name", name())
            .may("request", or_null(named_as("NewRequest", "The request that it sends; required without steps")))
    } else {
        record.may("name", or_null(name())).may("request", or_null(named_as("RequestPatch", "The changes of the request")))
    };
    let values = dictionary("Values of secrets by their names: written, never read back", short("", 4_096).min_length(Some(1)))
        .property_names(Some(Schema::from(secret_name("").build())));
    let record = record
        .may("owner", or_null(named_as("NewOwner", "The owner of a new rule: the caller, unless an admin names an affiliate")))
        .may("secret_values", or_null(values));
    let ignored = [
        "id",
        "version",
        "health",
        "inactive_reason",
        "locked_by_admin",
        "webhook_id",
        "country",
        "category",
        "secrets",
        "created_at",
        "updated_at",
        "schedule",
        "warnings",
    ];
    ignored.into_iter().fold(record, |record, name| record.may(name, anything("Set by the server; ignored"))).into()
}

fn bulk_change() -> RefOr<Schema> {
    record("A change of many rules")
        .has("ids", list("The ids of the rules", id("")).min_items(Some(1)).max_items(Some(100)))
        .has("action", word("The action that is done to each", ["activate", "deactivate", "pause", "resume"]))
        .into()
}

fn bulk_results() -> RefOr<Schema> {
    let result = record("The result for one rule")
        .has("id", id("The rule"))
        .has("status", whole("200, or the status of the problem", 200..=599))
        .has("version", or_null(count("Its version now")))
        .has("detail", or_null(text("The reason why it could not be done")));
    record("The result for each rule").has("results", list("One for each, in order", result)).into()
}

fn owner() -> RefOr<Schema> {
    let kind = word("`admin`, or `affiliate` with its id", ["admin", "affiliate"]);
    record("The owner of a rule; it never changes").has("kind", kind).may("affiliate_id", id("The affiliate that owns it")).into()
}

fn new_owner() -> RefOr<Schema> {
    let kind = word("`admin`, or `affiliate` with its id", ["admin", "affiliate"]);
    record("The owner of a new rule: the caller, unless an admin names an affiliate")
        .has("kind", kind)
        .may("affiliate_id", or_null(id("The affiliate that is to own it")))
        .into()
}

fn conditions(form: Form) -> RefOr<Schema> {
    let ids = |about: &str| list(about, id("")).max_items(Some(1_000));
    let types = pattern("", "^(custom:[^\\x00]{1,2041}|custom|click|view|lead|send|prospect|sale)$");
    let results = word("", RESULTS);
    let result = either(
        "The results that it is about: `not_chosen` (with or without a result), `all` (any result), or a list",
        [word("", ["not_chosen", "all"]).into(), list("", results).max_items(Some(1_000)).into()],
    );
    let mut record = record("The conversions that it is about; an empty list means all");
    let sources = list("The sources of conversions", word("", ["link", "iframe", "api"])).max_items(Some(1_000));
    record = form.field(record, "source", sources);
    record = form.field(
        record,
        "conversion_type",
        list("Types of conversions; `custom:NAME` is one of the custom ones", types).max_items(Some(1_000)),
    );
    for (name, about) in [
        ("affiliate", "The affiliates that it is about, as final owners"),
        ("advertiser", "The advertisers that it is about"),
        ("integration", "The integrations that it is about"),
        ("channel", "The channels that it is about"),
        ("included_offers", "Offers that it is about"),
        ("excluded_offers", "Offers that it is not about"),
        ("commission", "Commissions of the transactions that it is about"),
    ] {
        record = form.field(record, name, ids(about));
    }
    match form {
        Form::Shown => record.has("result", result).into(),
        Form::Written => record.may("result", or_null(result)).into(),
    }
}

/// The request; `complete`, or a patch of one.
fn request(form: Form, complete: bool) -> RefOr<Schema> {
    let pair = |about: &str, name: ObjectBuilder| {
        let record = record(about)
            .has("name", name.min_length(Some(1)))
            .has("value", form.part("Value", "The value; may hold macros such as {transaction_id}"));
        form.extra(record, "do_not_send", request_conditions(form, "It is left out if all of these hold"))
    };
    let entry = pair("An entry of the query, behind those of the URL", short("The parameter's name, taken as it is", 1_024));
    let header = pair("A header", pattern("The header's name, sent as it is written", "^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,1024}$"));
    let url = template("http or https; path and query may hold macros").pattern(Some("^https?://"));
    let mut record = record("The request that is sent").property("url", url);
    if complete {
        record = record.required("url");
    }
    record = form.field(
        record,
        "method",
        word("The method; GET has no body", ["GET", "POST", "PUT", "PATCH", "DELETE"]).default(Some("GET".into())),
    );
    record = form.field(record, "query", list("Entries of the query, behind those of the URL", entry).max_items(Some(50)));
    record = form.field(record, "headers", list("Headers, 20 at most", header).max_items(Some(20)));
    record = form.field(record, "body", body(form));
    form.field(record, "timeout_seconds", whole("Time for the whole request", 1..=120).default(Some(40.into()))).into()
}

fn body(form: Form) -> ObjectBuilder {
    let kind = word("The type of the value in a `json` body", ["string", "number", "boolean", "json"]);
    let field = record("A field of the body")
        .has("path", short("Such as lead.items[0].id", 1_024).min_length(Some(1)))
        .has("value", form.part("Value", "The value; may hold macros"));
    let field = form.extra(field, "do_not_send", request_conditions(form, "It is left out if all of these hold"));
    let field = form.field(field, "type", kind);
    let record = record("The body of the request").has("format", word("The format in which it is written", BODY_FORMATS));
    let record =
        form.extra(record, "fields", list("The fields of a `json`, `form` or `multipart` body", field).max_items(Some(200)));
    let record = form.extra(record, "content_type", short("The content type of a `raw` body", 1_024).min_length(Some(1)));
    form.extra(record, "text", template("The text of a `raw` body; may hold macros"))
}

fn retry(form: Form) -> RefOr<Schema> {
    let mut record = record("The number and the times of retries");
    record = form.field(record, "max_retries", whole("Requests after the first", 0..=30).default(Some(12.into())));
    record = form.field(
        record,
        "delay_seconds",
        whole("The wait before the first retry, in seconds", 1..=86_400).default(Some(60.into())),
    );
    record = form.field(
        record,
        "backoff",
        word("`exponential`: each wait is twice the one before; `fixed`: all are the same", ["fixed", "exponential"]),
    );
    form.field(
        record,
        "max_delay_seconds",
        whole("The longest wait between two requests, in seconds", 1..=86_400).default(Some(3_600.into())),
    )
    .into()
}

fn answer(form: Form, in_step: bool) -> RefOr<Schema> {
    let (part, most) = if in_step { ("StepAnswerRule", 20) } else { ("AnswerRule", 50) };
    let rules = list("Read top down; the first that holds decides", form.part(part, "A rule that reads answers"));
    let rules = rules.max_items(Some(most));
    let record = form.field(record("The meaning of answers; without rules the status decides"), "rules", rules);
    let hide = flag("True if nothing of a response is kept but its status and length");
    let record = if in_step { form.extra(record, "hide", hide) } else { record };
    form.extra(record, "otherwise", word("The meaning if no rule holds", VERDICTS)).into()
}

fn answer_rule(form: Form, in_step: bool) -> RefOr<Schema> {
    let when = list("All of these must hold", form.part("AnswerCondition", "A condition on an answer"))
        .min_items(Some(1))
        .max_items(Some(20));
    let value = || template("May hold macros, also {body.KEY}, {header.NAME} and {http_code}");
    let secret = record("A text with a secret value").has("value", value());
    let secret = form.extra(secret, "secret", flag("True if its value is masked and never published"));
    let variables = if in_step {
        flow::variables(form, "Variables for later requests")
    } else {
        let variable = either("A template, or one whose value is secret", [value().into(), secret.into()]);
        dictionary("Variables for later attempts", variable)
            .max_properties(Some(50))
            .property_names(Some(Schema::from(secret_name("").build())))
    };
    let mut set = record("Data to extract from the answer; all but variables are for admins' rules");
    for name in ["result", "payout", "value", "external_id"] {
        set = form.extra(set, name, value());
    }
    let set = form.extra(set, "variables", variables);
    let record = record("A rule that reads answers").has("when", when);
    let then = word("The meaning of the answer", VERDICTS);
    let record = if in_step {
        let record = form.extra(record, "then", then);
        let record = form.extra(record, "go", flow::target("The step at which the flow goes on; then may be left out"));
        form.extra(record, "forget", list("Kept variables that are dropped", secret_name("")))
    } else {
        record.has("then", then)
    };
    form.extra(record, "set", set).into()
}

/// A condition on a response, or on a request; or alternatives of them.
fn condition(form: Form, name: &str) -> RefOr<Schema> {
    let is_of_answer = name == "AnswerCondition";
    let (about, sources, key): (_, &[&str], _) = if is_of_answer {
        let key =
            "A path in the body, none for all of it; a header's name, a parameter; a macro with its modifiers, a variable's name";
        ("A condition on a response", &SOURCES_OF_ANSWERS, key)
    } else {
        ("A condition on what is sent", &SOURCES_OF_REQUESTS, "A macro with its modifiers, a variable's name, a text")
    };
    let mut one = record(about).has("operator", word("The comparison that must hold", OPERATORS));
    one = form.extra(one, "source", word("The part of the response, or of the request, to look at", sources.iter().copied()));
    one = form.extra(one, "key", short(key, 16_384));
    let value = "The text to compare with: `a|b` are alternatives, `*` is any text, macros are filled in";
    for (name, about) in [("value", value), ("value2", "The upper end, for `between`")] {
        let text = short(about, 16_384);
        one = match form {
            Form::Shown => one.may(name, text),
            // Numbers and flags are taken as they are written.
            Form::Written => {
                let number = ObjectBuilder::new().schema_type(utoipa::openapi::Type::Number);
                one.may(name, either(about, [or_null(text), number.into(), flag("").into()]))
            }
        };
    }
    let alternative = list("All of these", form.part(name, "A condition")).min_items(Some(1)).max_items(Some(20));
    let any = list("Alternatives; none of them holds further ones", alternative).min_items(Some(1)).max_items(Some(20));
    either("A condition, or alternatives of which one must hold", [one.into(), record("Alternatives").has("any", any).into()])
}

/// A text with macros, or several to choose from.
fn chosen_value(form: Form, text: impl Fn() -> ObjectBuilder) -> RefOr<Schema> {
    let choice = record("A text to choose").has("text", text());
    let choice = form.extra(choice, "when", request_conditions(form, "It is chosen if all of these hold"));
    let choices = list("The first whose conditions hold is sent", choice).min_items(Some(1)).max_items(Some(20));
    either("A text, or several to choose from", [text().into(), choices.into()])
}

fn delay(form: Form) -> RefOr<Schema> {
    let mode = word(
        "`none`: at once; `final`: one postback once the conversion is settled; `fixed`: each change so many seconds later",
        ["none", "final", "fixed"],
    );
    let record = record("The wait until the conversion is settled, or a fixed wait");
    let record = if form == Form::Shown { record.has("mode", mode) } else { form.extra(record, "mode", mode) };
    let record = form.extra(record, "settle_seconds", whole("The wait after the conversion is settled, in seconds", 0..=604_800));
    let record =
        form.extra(record, "max_hold_days", whole("The longest time to wait until the conversion is settled, in days", 1..=365));
    let record = form.extra(
        record,
        "on_expiry",
        word(
            "The outcome when a hold expires: `expire` sends nothing, `send_current` sends what is known",
            ["expire", "send_current"],
        ),
    );
    let record = form.extra(record, "seconds", whole("The wait of mode `fixed`, in seconds", 1..=2_592_000));
    form.extra(record, "corrections", flag("True if changes after the final postback are sent")).into()
}

fn health() -> RefOr<Schema> {
    record("The health of a rule by its 1 000 newest deliveries; in lists by its 20 newest")
        .has(
            "state",
            word(
                "`failing`: its newest attempts failed. `ok`: a postback was delivered within 24 hours. `idle`: neither",
                ["ok", "failing", "idle"],
            ),
        )
        .has("last_delivered_at", or_null(time("The time of the last delivery that a receiver took")))
        .has("failing_since", or_null(time("The time at which the present run of failures began")))
        .has("last_error", or_null(text("The reason of the newest failure")))
        .has("counts_24h", dictionary("Deliveries of the last 24 hours by state", count("The number of them")))
        .has("counted_since", time("The time since which they are counted"))
        .into()
}

fn schedule() -> RefOr<Schema> {
    record("The retry settings laid out in times")
        .has("waits_seconds", list("The wait before each retry", count("")))
        .has("longest_seconds", count("All waits together at their longest"))
        .has("text", text("The waits as a sentence"))
        .into()
}

fn warning() -> RefOr<Schema> {
    record("A value that is allowed and still looks like a mistake")
        .has("pointer", text("JSON pointer into the rule"))
        .has("detail", text("The oddity, and the remedy"))
        .into()
}

fn secret_value() -> RefOr<Schema> {
    record("The value of a secret").has("value", short("The value, at most 4 096 bytes", 4_096).min_length(Some(1))).into()
}

fn history_entry() -> RefOr<Schema> {
    let actions = ["created", "duplicated", "replaced", "patched", "secret_written", "secret_deleted", "restored", "deleted"];
    let by = record("The person or system that made the change")
        .has("role", word("The role of the author", ["admin", "affiliate"]))
        .may("affiliate_id", id("The affiliate"))
        .may("subject", short("The token's `sub`", 256));
    let change = record("One place that changed")
        .has("pointer", text("JSON pointer into the rule"))
        .has("from", anything("The old value; null for nothing"))
        .has("to", anything("The new value; of a secret only that it changed"));
    record("One change of a rule")
        .has("version", count("The version that it made"))
        .has("at", time("The time of the change"))
        .has("by", by)
        .has("on_behalf", flag("True if an admin acted on an affiliate's rule"))
        .has("action", word("The kind of change", actions))
        .has("note", or_null(text("A remark, such as the version that was restored")))
        .has("changes", list("The places that changed", change))
        .into()
}
