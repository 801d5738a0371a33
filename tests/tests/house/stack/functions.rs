//! The functions: their binaries, settings and roles, and their triggers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tracking_aws::settings;

use crate::stack::{
    faults::Faults,
    templates::{Stack, attribute, listed, reference, text},
};

/// A function: its name in the template, its binary, and the queues that it works.
pub(crate) const FUNCTIONS: [(&str, &str, &[&str]); 4] = [
    ("IngestFunction", "ingest", &[]),
    ("MatcherFunction", "matcher", &["EventsQueue"]),
    ("DeliveryFunction", "delivery", &["DeliveryQueue", "RetryQueue"]),
    ("ApiFunction", "api", &[]),
];

/// The longest time that a request of a rule may take (Q4), in seconds.
const LONGEST_REQUEST: u64 = 120;
/// The longest that API Gateway waits for a function, in seconds.
const GATEWAY_WAITS: u64 = 30;

/// Returns the values of the settings.
fn settings() -> [(&'static str, Value); 22] {
    [
        ("TRACKING_STAGE", reference("Stage")),
        ("TRACKING_TABLE", reference("Table")),
        ("TRACKING_BUS", reference("EventBusName")),
        ("TRACKING_EVENTS_QUEUE", reference("EventsQueue")),
        ("TRACKING_DELIVERY_QUEUE", reference("DeliveryQueue")),
        ("TRACKING_RETRY_QUEUE", reference("RetryQueue")),
        ("TRACKING_REJECTED_QUEUE", reference("RejectedQueue")),
        ("TRACKING_EVENTS_DEAD_LETTERS", reference("EventsDeadLetters")),
        ("TRACKING_DELIVERY_DEAD_LETTERS", reference("DeliveryDeadLetters")),
        ("TRACKING_RETRY_DEAD_LETTERS", reference("RetryDeadLetters")),
        ("TRACKING_DATA_KEY", attribute("DataKey", "Arn")),
        ("TRACKING_LOG_RETENTION_DAYS", reference("DeliveryRetentionDays")),
        ("TRACKING_MAX_CONCURRENCY", reference("MaxConcurrency")),
        ("TRACKING_KEEP_EVENTS", reference("KeepEvents")),
        ("TRACKING_PRIVATE_TARGETS", reference("PrivateTargets")),
        ("TRACKING_PUBLIC_URL", reference("PublicUrl")),
        ("TRACKING_ROLE_CLAIM", reference("RoleClaim")),
        ("TRACKING_AFFILIATE_CLAIM", reference("AffiliateClaim")),
        ("TRACKING_JWT_ISSUER", reference("JwtIssuer")),
        ("TRACKING_CONSOLE_CLIENT_ID", reference("ConsoleClientId")),
        ("TRACKING_CONSOLE_SCOPES", reference("ConsoleScopes")),
        ("TRACKING_CONSOLE_ORIGINS", reference("ConsoleOrigins")),
    ]
}

pub(crate) fn check(stack: &Stack, faults: &mut Faults) {
    let there: BTreeSet<&str> = stack.of("AWS::Lambda::Function").map(|(name, _)| name).collect();
    let wanted: BTreeSet<&str> = FUNCTIONS.iter().map(|(name, ..)| *name).collect();
    faults.unless(there == wanted, format!("the functions are {there:?} instead of {wanted:?}"));
    for (name, binary, _) in FUNCTIONS {
        code(stack, name, binary, faults);
        environment(stack, name, faults);
        let function = stack.properties(name);
        let short = name.trim_end_matches("Function");
        let role = format!("{short}Role");
        faults.unless(function["Role"] == attribute(&role, "Arn"), format!("{name} has another role than {role}"));
        let logs = format!("{short}Logs");
        let logging = &function["LoggingConfig"];
        faults.unless(logging["LogFormat"] == "JSON", format!("{name} does not log JSON"));
        faults.unless(logging["LogGroup"] == reference(&logs), format!("{name} does not log to {logs}"));
        faults.unless(logging["ApplicationLogLevel"] == reference("LogLevel"), format!("{name} ignores the log level"));
    }
    timeouts(stack, faults);
    reserved(stack, faults);
    mappings(stack, faults);
    invocations(stack, faults);
    // Lambda stops a message that goes round through a queue sixteen times, unless loops are allowed.
    let goes_on = stack.properties("DeliveryFunction")["RecursiveLoop"] == "Allow";
    faults.unless(goes_on, "Lambda would end a long replay: delivery's messages to itself are no loop");
    let levels = &stack.source["Parameters"]["LogLevel"]["AllowedValues"];
    faults
        .unless(*levels == json!(["TRACE", "DEBUG", "INFO"]), format!("at some of the levels {levels} Lambda drops the metrics"));
}

/// Checks that a function runs the binary that the package of that folder makes.
fn code(stack: &Stack, name: &str, binary: &str, faults: &mut Faults) {
    let (function, written) = (stack.properties(name), &stack.source["Resources"][name]);
    let globals = &stack.source["Globals"]["Function"];
    faults.unless(function["Runtime"] == "provided.al2023", format!("{name} does not run on provided.al2023"));
    faults.unless(function["Handler"] == "bootstrap", format!("{name} has another handler than bootstrap"));
    faults.unless(globals["Architectures"] == json!([reference("Architecture")]), "the architecture can't be chosen");
    let build = &written["Metadata"];
    faults.unless(build["BuildMethod"] == "rust-cargolambda", format!("{name} is not built by cargo lambda"));
    faults.unless(build["BuildProperties"]["Binary"] == binary, format!("{name} has another binary than {binary}"));
    let folder = format!("functions/{binary}");
    faults.unless(written["Properties"]["CodeUri"] == folder.as_str(), format!("{name} is not built from {folder}"));
    let bin = format!("[[bin]]\nname = \"{binary}\"\n");
    faults.unless(text(&format!("{folder}/Cargo.toml")).contains(&bin), format!("{folder} makes no binary {binary}"));
}

/// Checks that a function has all settings with their values, and no others.
fn environment(stack: &Stack, name: &str, faults: &mut Faults) {
    let variables = stack.properties(name)["Environment"]["Variables"].as_object().cloned().unwrap_or_default();
    let names: BTreeSet<&str> = variables.keys().map(String::as_str).collect();
    let wanted: BTreeSet<&str> = settings::NAMES.iter().copied().collect();
    for missing in wanted.difference(&names) {
        faults.add(format!("{name} does not get {missing}"));
    }
    for unknown in names.difference(&wanted) {
        faults.add(format!("{name} gets {unknown}, which it does not read"));
    }
    for (variable, value) in settings().iter().filter(|(variable, _)| variables.contains_key(*variable)) {
        faults
            .unless(variables[*variable] == *value, format!("{name}: {variable} is {} instead of {value}", variables[*variable]));
    }
}

fn timeouts(stack: &Stack, faults: &mut Faults) {
    let timeout = |name: &str| stack.properties(name)["Timeout"].as_u64().unwrap_or(0);
    for (name, _, queues) in FUNCTIONS {
        faults.unless(timeout(name) > 0, format!("{name} has no timeout"));
        for queue in queues {
            let visibility = stack.properties(queue)["VisibilityTimeout"].as_u64().unwrap_or(30);
            let fits = visibility >= 6 * timeout(name);
            faults.unless(fits, format!("{queue} hides messages for {visibility} s: less than six times {name}'s timeout"));
        }
    }
    // A lease lasts for the request and 15 s more.
    let least = LONGEST_REQUEST + 15;
    faults.unless(timeout("DeliveryFunction") >= least, format!("delivery has less than {least} s"));
    faults.unless(timeout("ApiFunction") <= GATEWAY_WAITS, "the API's function may take longer than API Gateway waits");
}

/// F5: checks that the API may have a reserved concurrency, and no other function: mappings bound the concurrency of queues.
fn reserved(stack: &Stack, faults: &mut Faults) {
    let chosen = json!({"Fn::If": ["HasApiConcurrency", reference("ApiReservedConcurrency"), reference("AWS::NoValue")]});
    for (name, ..) in FUNCTIONS {
        let reserved = &stack.properties(name)["ReservedConcurrentExecutions"];
        let wanted = if name == "ApiFunction" { &chosen } else { &Value::Null };
        faults.unless(reserved == wanted, format!("{name} reserves {reserved} instead of {wanted}"));
    }
    let given = json!({"Fn::Not": [{"Fn::Equals": [reference("ApiReservedConcurrency"), "0"]}]});
    let condition = &stack.main["Conditions"]["HasApiConcurrency"];
    faults.unless(*condition == given, format!("a concurrency of the API's own is reserved if {condition}"));
}

fn mappings(stack: &Stack, faults: &mut Faults) {
    let mappings: Vec<_> = stack.of("AWS::Lambda::EventSourceMapping").collect();
    for (name, mapping) in &mappings {
        let size = mapping["BatchSize"].as_u64();
        faults.unless(size == Some(10), format!("{name}: batches of {size:?} instead of 10"));
        let windowless = mapping.get("MaximumBatchingWindowInSeconds").is_none_or(|window| window == 0);
        faults.unless(windowless, format!("{name}: messages wait for a batch to fill"));
        let partial = mapping["FunctionResponseTypes"] == json!(["ReportBatchItemFailures"]);
        faults.unless(partial, format!("{name}: one failed message fails its batch"));
        let most = &mapping["ScalingConfig"]["MaximumConcurrency"];
        faults.unless(*most == reference("MaxConcurrency"), format!("{name}: its concurrency is {most}"));
        faults.unless(mapping.get("Enabled").is_none_or(|enabled| enabled == true), format!("{name} is off"));
    }
    for (function, _, queues) in FUNCTIONS {
        let works: BTreeSet<String> = mappings
            .iter()
            .filter(|(_, mapping)| mapping["FunctionName"] == reference(function))
            .map(|(_, mapping)| mapping["EventSourceArn"].to_string())
            .collect();
        let wanted: BTreeSet<String> = queues.iter().map(|queue| attribute(queue, "Arn").to_string()).collect();
        faults.unless(works == wanted, format!("{function} works {works:?} instead of {wanted:?}"));
    }
}

fn invocations(stack: &Stack, faults: &mut Faults) {
    let failures = attribute("IngestFailures", "Arn");
    let rules: Vec<_> = stack.of("AWS::Events::Rule").collect();
    let of = |function: &str| {
        let function = attribute(function, "Arn");
        rules.iter().find(move |(_, rule)| listed(&rule["Targets"]).iter().any(|target| target["Arn"] == function))
    };
    match of("IngestFunction") {
        None => faults.add("no rule brings events to ingest"),
        Some((name, rule)) => {
            let pattern = json!({"source": ["platform.conversions"], "detail-type": ["Conversion Changed", "Offer Changed"]});
            faults.unless(rule["EventPattern"] == pattern, format!("{name} takes {}", rule["EventPattern"]));
            faults.unless(rule["EventBusName"] == reference("EventBusName"), format!("{name} is not on the platform's bus"));
            let lost = &rule["Targets"][0]["DeadLetterConfig"]["Arn"];
            faults.unless(*lost == failures, format!("what {name} can't hand over is lost"));
        }
    }
    match of("MatcherFunction") {
        None => faults.add("nothing sweeps"),
        Some((name, rule)) => {
            let every = &rule["ScheduleExpression"];
            faults.unless(*every == "rate(1 minute)", format!("{name} sweeps at {every}"));
            let input = rule["Targets"][0]["Input"].as_str().and_then(|input| serde_json::from_str::<Value>(input).ok());
            faults.unless(input == Some(json!({"sweep": true})), format!("{name} does not ask the matcher to sweep"));
        }
    }
    for (name, rule) in &rules {
        faults.unless(rule.get("State").is_none_or(|state| state == "ENABLED"), format!("{name} is off"));
        let allowed = stack.of("AWS::Lambda::Permission").any(|(_, permission)| {
            permission["SourceArn"] == attribute(name, "Arn") && permission["Principal"] == "events.amazonaws.com"
        });
        faults.unless(allowed, format!("{name} may not invoke its function"));
    }
    let asynchronous = |function: &str| {
        let mut configs = stack.of("AWS::Lambda::EventInvokeConfig");
        configs.find(|(_, config)| config["FunctionName"] == reference(function)).map_or(&Value::Null, |(_, config)| config)
    };
    let destination = &asynchronous("IngestFunction")["DestinationConfig"]["OnFailure"]["Destination"];
    faults.unless(*destination == failures, "events on which ingest fails are lost");
    let again = &asynchronous("MatcherFunction")["MaximumRetryAttempts"];
    faults.unless(*again == 0, "a sweep that failed is repeated besides the next one");
}

#[test]
fn f5_the_api_may_have_a_concurrency_of_its_own() {
    let stack = crate::stack::templates::stack();
    let reserved = &stack.properties("ApiFunction")["ReservedConcurrentExecutions"];
    assert_eq!(*reserved, json!({"Fn::If": ["HasApiConcurrency", {"Ref": "ApiReservedConcurrency"}, {"Ref": "AWS::NoValue"}]}));
    assert_eq!(stack.main["Parameters"]["ApiReservedConcurrency"]["Default"], "0", "a new account has nothing to reserve");
}
