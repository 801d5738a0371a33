//! Metrics in the embedded metric format: a line of JSON on standard output that CloudWatch reads, so that no call is made for them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tracking_engine::Tally;

/// The CloudWatch namespace.
const NAMESPACE: &str = "TrackingApi";
/// Values of one metric in one line, at most.
const VALUES: usize = 100;

/// The figures of one invocation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Metrics {
    /// Figures of the whole stage: name, unit, values.
    figures: Vec<(&'static str, &'static str, Vec<u64>)>,
    /// Figures by outcome.
    outcomes: BTreeMap<&'static str, Vec<(&'static str, u64)>>,
}

impl Metrics {
    pub(crate) fn count(&mut self, name: &'static str, count: u64) {
        if count > 0 {
            self.figures.push((name, "Count", vec![count]));
        }
    }

    pub(crate) fn seconds(&mut self, name: &'static str, seconds: u64) {
        self.figures.push((name, "Seconds", vec![seconds]));
    }

    /// Adds the counts of an engine.
    pub(crate) fn tally(&mut self, tally: &Tally) {
        self.count("MatchedRules", tally.matched);
        for values in tally.latencies.chunks(VALUES) {
            self.figures.push(("ReceiverLatency", "Milliseconds", values.to_vec()));
        }
        let words: BTreeSet<_> = tally.attempts.keys().chain(tally.ended.keys()).copied().collect();
        for word in words {
            let counts = [("Attempts", tally.attempts.get(word)), ("Ended", tally.ended.get(word))];
            self.outcomes.insert(word, counts.into_iter().filter_map(|(name, count)| Some((name, *count?))).collect());
        }
    }

    /// Returns the lines of JSON.
    fn lines(self, stage: &str, now: Timestamp) -> Vec<Value> {
        let mut documents: Vec<Vec<(&'static str, &'static str, Vec<u64>)>> = Vec::new();
        for figure in self.figures {
            // A document holds each metric once.
            match documents.iter_mut().find(|document| document.iter().all(|(name, ..)| *name != figure.0)) {
                Some(document) => document.push(figure),
                None => documents.push(vec![figure]),
            }
        }
        let mut lines: Vec<Value> = documents.into_iter().map(|figures| line(stage, None, figures, now)).collect();
        for (outcome, counts) in self.outcomes {
            let figures = counts.into_iter().map(|(name, count)| (name, "Count", vec![count])).collect();
            lines.push(line(stage, Some(outcome), figures, now));
        }
        lines
    }

    /// Writes the lines to standard output.
    #[expect(clippy::print_stdout, reason = "standard output is where CloudWatch reads them")]
    pub(crate) fn print(self, stage: &str, now: Timestamp) {
        for line in self.lines(stage, now) {
            println!("{line}");
        }
    }
}

fn line(stage: &str, outcome: Option<&str>, figures: Vec<(&'static str, &'static str, Vec<u64>)>, now: Timestamp) -> Value {
    let names: Vec<Value> = figures.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let dimensions = if outcome.is_some() { json!([["Stage", "Outcome"]]) } else { json!([["Stage"]]) };
    let directive = json!({"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": names});
    let mut line = Map::new();
    line.insert("_aws".to_owned(), json!({"Timestamp": now.as_millisecond(), "CloudWatchMetrics": [directive]}));
    line.insert("Stage".to_owned(), stage.into());
    if let Some(outcome) = outcome {
        line.insert("Outcome".to_owned(), outcome.into());
    }
    for (name, _, values) in figures {
        let value = if let [value] = values[..] { value.into() } else { values.into() };
        line.insert(name.to_owned(), value);
    }
    Value::Object(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_metrics_named_and_at_the_top() {
        let mut metrics = Metrics::default();
        metrics.count("Events", 3);
        metrics.count("Rejected", 0);
        let tally = Tally {
            matched: 2,
            attempts: BTreeMap::from([("delivered", 9), ("retry", 1)]),
            ended: BTreeMap::from([("delivered", 9)]),
            latencies: (0..150).collect(),
        };
        metrics.tally(&tally);
        let lines = metrics.lines("prod", "2026-11-22T09:00:00Z".parse().unwrap());
        assert_eq!(lines.len(), 4, "a full line, the other latencies, two outcomes: {lines:#?}");
        assert_eq!((&lines[0]["Events"], &lines[0]["MatchedRules"], &lines[0]["Stage"]), (&3.into(), &2.into(), &"prod".into()));
        assert_eq!(lines[0]["ReceiverLatency"].as_array().map(Vec::len), Some(100));
        assert_eq!(lines[1]["ReceiverLatency"].as_array().map(Vec::len), Some(50));
        assert_eq!(
            (&lines[2]["Outcome"], &lines[2]["Attempts"], &lines[2]["Ended"]),
            (&"delivered".into(), &9.into(), &9.into())
        );
        assert_eq!((&lines[3]["Outcome"], &lines[3]["Attempts"], lines[3].get("Ended")), (&"retry".into(), &1.into(), None));
        for line in &lines {
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            for metric in directive["Metrics"].as_array().unwrap() {
                assert!(line.get(metric["Name"].as_str().unwrap()).is_some(), "{line}");
            }
            for dimension in directive["Dimensions"][0].as_array().unwrap() {
                assert!(line.get(dimension.as_str().unwrap()).is_some(), "{line}");
            }
        }
    }
}
