//! Steps of a rule, and the catalogue of their kinds (W1).

use utoipa::openapi::{RefOr, Schema, schema::ObjectBuilder};

use super::{
    super::shape::{
        Record as _, anything, dictionary, either, flag, id, list, open_record, pattern, record, short, template, text, whole,
        word,
    },
    Thing,
    form::{Form, request_conditions, secret_name},
};

/// The longest wait, in seconds.
const MAX_WAIT: i64 = 120 * 86_400;

pub(super) fn things() -> Vec<Thing> {
    vec![("StepKinds", step_kinds()), ("CallbackBody", body_of_callback()), ("CallbackTaken", callback_taken())]
}

/// A step, `end` or `fail`.
pub(super) fn target(about: &str) -> ObjectBuilder {
    pattern(about, "^[A-Za-z0-9_-]{1,64}$")
}

/// A step: the fields of every step, and those of its kind.
pub(super) fn step(form: Form) -> RefOr<Schema> {
    let kinds = [
        call(form),
        set(form),
        switch(form),
        wait(form),
        listen(form),
        mirror(form),
        emit(form),
        end(form, "end"),
        end(form, "fail"),
    ];
    either(
        "A step: exactly one of `call`, `set`, `switch`, `wait`, `listen`, `mirror`, `emit`, `end` and `fail`",
        kinds.map(Into::into),
    )
}

fn common(form: Form, about: &str, follows: bool) -> ObjectBuilder {
    let name = pattern("The name of the step, unique in the rule", "^[A-Za-z0-9_-]{1,64}$");
    let record = record(about).has("name", name);
    let record = form.extra(record, "title", short("A title for people", 200));
    let record = form.extra(record, "when", request_conditions(form, "The step is run if all of these hold"));
    let record = form.extra(record, "unless", request_conditions(form, "The step is not run if all of these hold"));
    if !follows {
        return record;
    }
    let record = form.extra(record, "go", target("The step that follows, or `end` or `fail`; unless given the next in order"));
    form.extra(record, "max_runs", whole("The most runs of the step, the first included", 1..=31).default(Some(31.into())))
}

fn call(form: Form) -> ObjectBuilder {
    let record = common(form, "Sends a request", true).has("call", form.part("Request", "The request"));
    let record = form.extra(record, "answer", form.part("StepAnswer", "The meaning of responses"));
    let record = form.extra(record, "retry", form.part("Retry", "The number and the times of repeats within a run"));
    form.extra(record, "on_exhausted", target("The step that follows when the repeats are used up"))
}

fn set(form: Form) -> ObjectBuilder {
    let inner = record("The variables to set").has("variables", variables(form, "Variables that later steps read by {var.NAME}"));
    common(form, "Sets variables", true).has("set", inner)
}

/// Variables that a step or a response sets.
pub(super) fn variables(form: Form, about: &str) -> ObjectBuilder {
    let text = || template("May hold macros");
    let seconds = either(
        "The seconds for which later deliveries read the value too: a number, or a text that gives one",
        [whole("", 0..=2_592_000).into(), short("", 1_024).into()],
    );
    let whole_form = record("A text with what is done with its value").has("value", text());
    let whole_form = form.extra(whole_form, "secret", flag("True if its value is masked and never published"));
    let whole_form = form.extra(whole_form, "keep_seconds", seconds);
    dictionary(about, either("A text, or one whose value is secret or kept", [text().into(), whole_form.into()]))
        .max_properties(Some(50))
        .property_names(Some(Schema::from(secret_name("").build())))
}

fn switch(form: Form) -> ObjectBuilder {
    let case = record("A case")
        .has("when", request_conditions(form, "The case is taken if all of these hold"))
        .has("go", target("The step at which the flow goes on, or `end` or `fail`"));
    let cases = list("The first case that holds is taken", case).min_items(Some(1)).max_items(Some(20));
    common(form, "Goes on at the first case that holds, else at its own go", true).has("switch", cases)
}

fn wait(form: Form) -> ObjectBuilder {
    let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
    let zone = || short("An IANA time zone; UTC unless given", 64);
    let time = |about: &str| pattern(about, "^([01][0-9]|2[0-3]):[0-5][0-9]$");
    let until = record("Until a time").has("until", short("RFC 3339, a local time of the zone, or a text that gives one", 1_024));
    let anchors = ["click_at", "conversion_at", "result_at", "event_at"];
    let after = record("After a time of the event")
        .has("of", word("The time of the event; without it there is no wait", anchors))
        .has("seconds", whole("Seconds after it", 0..=MAX_WAIT));
    let within = record("Within hours of a day: no wait inside of them")
        .has("from", time("The beginning"))
        .has("to", time("The end; before the beginning it is on the next day"));
    let within = form.extra(within, "days", list("The days on which the hours begin", word("", days)).min_items(Some(1)));
    let next = record("The next day that counts, strictly later than now").has("at", time("The time of that day"));
    let next_days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "working_day"];
    let next = form.extra(next, "day", word("A weekday, or a working day: Monday to Friday but for holidays", next_days));
    let next = form.extra(next, "working_day", flag("True means day `working_day`"));
    let holiday = pattern("", "^[0-9]{4}-[0-9]{2}-[0-9]{2}$");
    let next = form.extra(next, "holidays", list("Dates that do not count", holiday).max_items(Some(100)));
    let forms = [
        record("For so long").has("seconds", whole("Seconds", 1..=MAX_WAIT)),
        form.extra(until, "time_zone", zone()),
        record("After a time of the event").has("after", after),
        record("Within hours of a day").has("within", form.extra(within, "time_zone", zone())),
        record("The next day that counts").has("next", form.extra(next, "time_zone", zone())),
    ];
    common(form, "Waits, for 120 days at most", true).has("wait", either("One of the five forms", forms.map(Into::into)))
}

fn listen(form: Form) -> ObjectBuilder {
    let text = |about: &str| short(about, 4_096);
    let inner = record("The request that it waits for");
    let seconds = whole("The seconds for which it listens", 1..=MAX_WAIT).default(Some(86_400.into()));
    let inner = form.extra(inner, "timeout_seconds", seconds);
    let inner = form.extra(inner, "answer", form.part("StepAnswer", "The meaning of what comes"));
    let verify = record("The proof that a request is the receiver's: both texts must be the same")
        .has("incoming", text("A text of the request, such as {header.x-signature}"))
        .has("expected", text("A text that reads a secret, such as {body|hmac_sha256:NAME}"));
    let inner = form.extra(inner, "verify", verify);
    let matching = record("Makes it wait for the rule's webhook, for the value that the delivery waits for")
        .has("waiting", text("The value that the delivery waits for"))
        .has("incoming", text("The value that a webhook brings"));
    let inner = form.extra(inner, "match", matching);
    let record = common(form, "Waits for a callback or a webhook, and reads it as a response is read", true).has("listen", inner);
    form.extra(record, "on_timeout", target("The step that follows if nothing came in time, or `end` or `fail`"))
}

fn mirror(form: Form) -> ObjectBuilder {
    let inner = record("The step that is mirrored").has("tracking_api_id", id("The Tracking API that has it, of the same owner"));
    let inner = form.extra(inner, "step", short("The name of the step; left out where the Tracking API has one request", 64));
    let record = common(form, "Sends the request of another Tracking API's step", true).has("mirror", inner);
    form.extra(record, "on_exhausted", target("The step that follows when the repeats are used up"))
}

fn emit(form: Form) -> ObjectBuilder {
    let fields = dictionary("The fields of the event", template("May hold macros, no secrets"))
        .max_properties(Some(50))
        .property_names(Some(Schema::from(secret_name("").build())));
    let inner = record("The event").has("name", short("Its name, without macros", 100).min_length(Some(1)));
    let inner = form.extra(inner, "fields", fields);
    let inner = form.extra(inner, "count", whole("The number of times for which it counts", 1..=1_000).default(Some(1.into())));
    common(form, "Publishes a `Tracking API Event` on the platform's bus; in an admin's rule", true).has("emit", inner)
}

fn end(form: Form, key: &'static str) -> ObjectBuilder {
    let about = if key == "end" { "Ends the flow: delivered if a request was sent" } else { "Ends the flow as failed" };
    let inner = form.extra(record("The end"), "reason", short("The reason that the delivery shows; may hold macros", 1_024));
    common(form, about, false).has(key, inner)
}

fn body_of_callback() -> RefOr<Schema> {
    RefOr::T(Schema::from(anything("Any body of the receiver").build()))
}

fn callback_taken() -> RefOr<Schema> {
    record("It is stored and will be read")
        .has("accepted", flag("True"))
        .may("deliveries", whole("The deliveries that read it", 1..=20))
        .into()
}

fn step_kinds() -> RefOr<Schema> {
    let kind = record("A kind of step")
        .has("kind", text("The key that a step of this kind has"))
        .has("description", text("The purpose of the kind"))
        .has("fields", list("The fields of a step of this kind beside name, title, when and unless", text("")))
        .has("example", open_record("A step of this kind"));
    record("The catalogue of step kinds").has("items", list("All of them", kind)).into()
}
