//! Problems, the catalogue, offers, quotas, and the API itself.

use utoipa::openapi::{RefOr, Schema};

use super::{
    super::shape::{
        Record as _, anything, flag, id, list, named, named_as, open_record, or_null, pattern, record, short, text, whole, word,
    },
    Thing, page, page_of_rows,
};

pub(super) fn things() -> Vec<Thing> {
    vec![
        ("Problem", problem()),
        ("Fault", fault()),
        ("Macros", macros()),
        ("Preset", preset()),
        ("PresetExample", preset_example()),
        ("PresetPage", page("Preset")),
        ("Offer", offer()),
        ("NewOffer", new_offer()),
        ("OfferPage", page_of_rows("Offer")),
        (
            "Unreadable",
            record("In place of something whose row is damaged, or written by a newer version")
                .has("unreadable", named_as("RowKey", "The key of the row"))
                .into(),
        ),
        (
            "RowKey",
            record("The key of a row").has("partition", text("Its partition")).has("sort", text("Its place there")).into(),
        ),
        ("Quota", quota()),
        ("NewQuota", new_quota()),
        ("Liveness", record("The liveness of the server").has("status", word("`ok` while it takes requests", ["ok"])).into()),
        (
            "Description",
            open_record("An OpenAPI document")
                .has("openapi", pattern("The version of OpenAPI", "^3\\.1\\."))
                .has("info", open_record("Title, version and licence of the API"))
                .has("paths", open_record("The operations by their paths"))
                .into(),
        ),
    ]
}

/// The most rules that a quota may grant.
const MOST_RULES: i64 = 1_000;

fn problem() -> RefOr<Schema> {
    open_record("A problem (RFC 9457)")
        .has("type", pattern("The kind of problem, for programs", "^/problems/[a-z-]+$"))
        .has("title", text("The kind of problem, for people"))
        .has("status", whole("The status of the answer", 400..=599))
        .has("detail", short("The fault and the allowed values", 65_536))
        .has("errors", list("All faults of what was sent", named("Fault")))
        .into()
}

fn fault() -> RefOr<Schema> {
    record("One fault")
        .has("pointer", short("JSON pointer to the place; of a query, the parameter's name", 65_536))
        .has("detail", short("The fault and the allowed values", 65_536))
        .into()
}

fn macros() -> RefOr<Schema> {
    let one = record("A macro")
        .has("name", text("The name between the braces"))
        .has("aliases", list("Other names of it", text("")))
        .has("group", text("The heading above it"))
        .has("description", text("The value that it prints"))
        .has("example", text("A use of it"))
        .has("gives", text("A possible output of that use"))
        .has("admins_only", flag("Only admins' rules may use it"))
        .has("answer_only", flag("Only answer rules may use it"));
    let modifier = record("A modifier")
        .has("name", text("The word after the bar"))
        .has("argument", text("The form of its argument; empty if it takes none"))
        .has("description", text("The effect of the modifier"))
        .has("example", text("A use of it"))
        .has("gives", text("A possible output of that use; empty where the whole field is dropped"));
    record("The macros and modifiers of templates")
        .has("macros", list("Every macro that the caller may use", one))
        .has("modifiers", list("Every modifier", modifier))
        .into()
}

fn preset() -> RefOr<Schema> {
    let blank = record("The places to fill in")
        .has("pointer", text("JSON pointer into the rule"))
        .has("name", text("Its name"))
        .has("placeholder", text("The part of the text there that is to be replaced"))
        .has("description", text("Its meaning and where to find it"))
        .has("example", text("A possible value"));
    record("A ready receiver")
        .has("id", id("Its id"))
        .has("name", text("Its name"))
        .has("kind", word("The kind of receiver; a flow has steps", ["tracker", "ad_platform", "flow"]))
        .may("admins_only", flag("True if its rule reports results to the platform; left out otherwise"))
        .may("master", text("The id of the preset that the rule is made of whose steps it mirrors; left out if it mirrors none"))
        .has("documentation", text("The page that describes its postbacks; of a flow, the standard that it keeps to"))
        .has("description", text("Its requests, and what to know before its use"))
        .has("fill_in", list("The places to fill in", blank))
        .has("secrets", list("The names of its secrets", text("")))
        .has("tracking_api", named_as("NewTrackingApi", "The rule, ready to post once it is filled in"))
        .has("example", named_as("PresetExample", "An event, the request that goes out for it, and the meaning of responses"))
        .into()
}

fn preset_example() -> RefOr<Schema> {
    let means = || word("The verdict", ["delivered", "pending", "retry", "failed", "branch"]);
    let header = || record("A header").has("name", text("Its name")).has("value", text("Its value"));
    let request = |about| {
        record(about)
            .has("method", word("The method", ["GET", "POST", "PUT", "PATCH", "DELETE"]))
            .has("url", text("The URL with its query"))
            .has("headers", list("The headers, in order, without those that every request carries", header()))
            .has("body", or_null(short("The body", 65_536)))
    };
    let response = record("A response and its meaning")
        .has("status", whole("The status", 100..=599))
        .has("body", text("The body; empty if only the status decides"))
        .has("means", means())
        .has("because", text("The reason"));
    let answered = record("The response that comes")
        .has("status", whole("The status", 100..=599))
        .has("headers", list("The headers that matter, in order", header()))
        .has("body", text("The body; it may be empty"));
    let step = record("A request of a flow, the response that comes, and its meaning")
        .has("step", text("The step's name"))
        .has("request", request("The request"))
        .has("response", answered)
        .has("means", means())
        .has("because", text("The reason, or what follows"));
    record("A worked example: placeholders are replaced by their examples, and each secret has the value `s3cr3t+1`. A rule with one request has `request` and `responses`, a flow has `steps`")
        .has("event", named_as("Event", "The event"))
        .may("request", request("The request that goes out"))
        .may("responses", list("Responses, each with its meaning", response))
        .may("steps", list("The requests of a flow in order, each with the response that comes", step))
        .into()
}

fn offer() -> RefOr<Schema> {
    record("An offer")
        .has("offer_id", id("Its id"))
        .has("name", or_null(text("Its name")))
        .has("country", or_null(text("Its country, mostly an ISO 3166 code")))
        .has("category", or_null(text("Its category")))
        .into()
}

fn new_offer() -> RefOr<Schema> {
    record("An offer as it is written")
        .may("offer_id", anything("Ignored: the path names it"))
        .may("name", or_null(text("Its name")))
        .may("country", or_null(text("Its country, mostly an ISO 3166 code")))
        .may("category", or_null(text("Its category")))
        .into()
}

fn new_quota() -> RefOr<Schema> {
    record("The most rules that an affiliate may have")
        .has("rules", whole("The most rules", 0..=MOST_RULES))
        .may("affiliate_id", anything("Ignored: the path names it"))
        .may("used", anything("Counted by the server; ignored"))
        .into()
}

fn quota() -> RefOr<Schema> {
    record("The most rules that an affiliate may have, and the number that it has")
        .has("affiliate_id", id("The affiliate"))
        .has("rules", whole("The most rules", 0..=MOST_RULES))
        .has("used", whole("The number of its rules", 0..=MOST_RULES))
        .into()
}
