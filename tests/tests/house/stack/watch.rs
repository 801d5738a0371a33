//! Alarms and the dashboard: they watch existing resources, and the guide says what to do on each alarm.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::stack::{
    faults::Faults,
    functions::FUNCTIONS,
    queues::{FOR_PEOPLE, WORKED},
    templates::{Stack, attribute, code, listed, of, reference, text},
};

pub(crate) fn check(stack: &Stack, faults: &mut Faults) {
    given(stack, faults);
    queues(stack, faults);
    functions(stack, faults);
    alarms(stack, faults);
    dashboard(stack, faults);
}

/// Checks that each parameter of the nested template gets the resource that it is named after.
fn given(stack: &Stack, faults: &mut Faults) {
    let nested = stack.properties("Watch");
    faults.unless(nested["TemplateURL"] == "infra/watch.yaml", "nothing is watched");
    let given = &nested["Parameters"];
    let names = |value: &Value| value.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    let (passed, known) = (names(given), names(&stack.watch["Parameters"]));
    faults.unless(passed == known, format!("the watch stack gets {passed:?} instead of {known:?}"));
    for queue in WORKED.iter().map(|(name, ..)| *name).chain(FOR_PEOPLE) {
        faults.unless(given[queue] == attribute(queue, "QueueName"), format!("{} is watched as {queue}", given[queue]));
    }
    for (function, ..) in FUNCTIONS {
        let name = function.trim_end_matches("Function");
        faults.unless(given[name] == reference(function), format!("{} is watched as {name}", given[name]));
    }
    for (name, wanted) in [("Stage", "Stage"), ("AlarmEmail", "AlarmEmail"), ("Table", "Table"), ("HttpApi", "HttpApi")] {
        faults.unless(given[name] == reference(wanted), format!("{} is watched as {name}", given[name]));
    }
}

/// Returns the threshold of the alarm on this metric of that resource, if there is one.
fn watched(stack: &Stack, metric: &str, dimension: &str, thing: &str) -> Option<f64> {
    let mut alarms = of(&stack.watch, "AWS::CloudWatch::Alarm").map(|(_, alarm)| alarm);
    let on = alarms.find(|alarm| {
        alarm["MetricName"] == metric
            && listed(&alarm["Dimensions"]).iter().any(|one| one["Name"] == dimension && one["Value"] == reference(thing))
    })?;
    on["Threshold"].as_f64()
}

fn queues(stack: &Stack, faults: &mut Faults) {
    for queue in FOR_PEOPLE {
        let most = watched(stack, "ApproximateNumberOfMessagesVisible", "QueueName", queue);
        faults.unless(most == Some(0.0), format!("no alarm for messages in {queue}"));
    }
    for queue in ["EventsQueue", "DeliveryQueue"] {
        let most = watched(stack, "ApproximateAgeOfOldestMessage", "QueueName", queue);
        faults.unless(most.is_some_and(|most| most <= 900.0), format!("no alarm when {queue} does not move"));
    }
    // At 120 000 the queue hands out no more.
    let most = watched(stack, "ApproximateNumberOfMessagesNotVisible", "QueueName", "RetryQueue");
    faults.unless(most.is_some_and(|most| most <= 110_000.0), "no alarm when the retry queue fills");
}

fn functions(stack: &Stack, faults: &mut Faults) {
    for (function, ..) in FUNCTIONS {
        let name = function.trim_end_matches("Function");
        for metric in ["Errors", "Throttles"] {
            let there = watched(stack, metric, "FunctionName", name).is_some();
            faults.unless(there, format!("no alarm for {name}'s {metric}"));
        }
    }
    faults.unless(watched(stack, "Sweeps", "Stage", "Stage").is_some(), "no alarm when nothing sweeps");
    faults.unless(watched(stack, "5xx", "ApiId", "HttpApi").is_some(), "no alarm for the API's faults");
    let table = of(&stack.watch, "AWS::CloudWatch::Alarm").any(|(_, alarm)| alarm.to_string().contains("WriteThrottleEvents"));
    faults.unless(table, "no alarm when the table throttles writes");
}

/// Checks that each alarm notifies, has a name of its own and a paragraph in the guide, and that its metric is really written.
fn alarms(stack: &Stack, faults: &mut Faults) {
    let guide = text("docs/operate-on-aws.md");
    let written = metrics();
    let mut names = BTreeSet::new();
    for (id, alarm) in of(&stack.watch, "AWS::CloudWatch::Alarm") {
        let name = alarm["AlarmName"]["Fn::Sub"].as_str().and_then(|name| name.strip_prefix("${Name}-"));
        let Some(name) = name else {
            faults.add(format!("{id} is not named after the stack"));
            continue;
        };
        faults.unless(names.insert(name), format!("two alarms are named {name}"));
        faults.unless(guide.contains(&format!("\n### {name}\n")), format!("docs/operate-on-aws.md has no section {name}"));
        for way in ["AlarmActions", "OKActions"] {
            faults.unless(alarm[way].to_string().contains("AlarmTopic"), format!("{name}: {way} notifies nobody"));
        }
        let missing = if name == "sweep-missing" { "breaching" } else { "notBreaching" };
        faults.unless(alarm["TreatMissingData"] == missing, format!("{name} does not take missing data for {missing}"));
        let parts = listed(&alarm["Metrics"]).iter().map(|part| &part["MetricStat"]["Metric"]);
        for metric in parts.chain([alarm]).filter(|metric| metric["Namespace"] == "TrackingApi") {
            let metric = metric["MetricName"].as_str().unwrap_or_default();
            faults.unless(written.contains(metric), format!("{name} looks at {metric}, which no function writes"));
        }
    }
}

/// Returns the texts that the functions' code passes as arguments, among them the names of its metrics.
fn metrics() -> BTreeSet<String> {
    let code = code("shared/aws/src");
    let handed = code.split("(\"").skip(1).filter_map(|rest| rest.split_once('"'));
    handed.map(|(word, _)| word.to_owned()).collect()
}

fn dashboard(stack: &Stack, faults: &mut Faults) {
    let Some((_, dashboard)) = of(&stack.watch, "AWS::CloudWatch::Dashboard").next() else {
        faults.add("there is no dashboard");
        return;
    };
    let body = dashboard["DashboardBody"]["Fn::Sub"].as_str().unwrap_or_default();
    let Ok(body) = serde_json::from_str::<Value>(body) else {
        faults.add("the dashboard is no JSON");
        return;
    };
    let widgets = listed(&body["widgets"]);
    let shown: BTreeSet<&str> =
        widgets.iter().flat_map(|widget| listed(&widget["properties"]["alarms"])).filter_map(Value::as_str).collect();
    for (alarm, _) in of(&stack.watch, "AWS::CloudWatch::Alarm") {
        faults.unless(shown.contains(format!("${{{alarm}.Arn}}").as_str()), format!("the dashboard lacks {alarm}"));
    }
    let written = metrics();
    for row in widgets.iter().flat_map(|widget| listed(&widget["properties"]["metrics"])) {
        if let [namespace, metric, ..] = listed(row)
            && namespace == "TrackingApi"
        {
            let metric = metric.as_str().unwrap_or_default();
            faults.unless(written.contains(metric), format!("the dashboard shows {metric}, which no function writes"));
        }
    }
}
