//! The figures of a bench, and their output.

use std::{
    io::{self, IsTerminal as _},
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;

use super::server::Usage;

/// The measurements of one sender.
#[derive(Debug)]
pub(super) struct Figures {
    /// The latencies, sorted.
    latencies: Vec<Duration>,
    took: Duration,
    used: Usage,
}

impl Figures {
    pub(super) fn new(mut latencies: Vec<Duration>, took: Duration, used: Usage) -> Self {
        latencies.sort_unstable();
        Self { latencies, took, used }
    }

    /// Returns the latency that this many thousandths of the requests did not exceed, in milliseconds.
    fn percentile(&self, thousandths: usize) -> f64 {
        let last = self.latencies.len().saturating_sub(1);
        self.latencies.get(last * thousandths / 1_000).copied().unwrap_or_default().as_secs_f64() * 1e3
    }

    fn each(&self, amount: f64) -> f64 {
        amount / count(self.latencies.len().max(1) as u64)
    }

    fn per_second(&self) -> f64 {
        count(self.latencies.len() as u64) / self.took.as_secs_f64().max(1e-6)
    }

    fn cpu_us(&self) -> Option<f64> {
        self.used.is_known.then(|| self.each(self.used.cpu.as_secs_f64() * 1e6))
    }

    fn shown(&self) -> Shown {
        let latency_ms = Latency {
            p50: rounded(self.percentile(500)),
            p95: rounded(self.percentile(950)),
            p99: rounded(self.percentile(990)),
            max: rounded(self.percentile(1_000)),
        };
        Shown {
            requests: self.latencies.len(),
            seconds: rounded(self.took.as_secs_f64()),
            per_second: rounded(self.per_second()),
            latency_ms,
            cpu_us_per_request: self.cpu_us().map(rounded),
            disk_bytes_per_request: None,
            memory_kib: None,
        }
    }
}

/// The figures for `--json`; figures that the operating system does not report are left out.
#[derive(Serialize)]
struct Shown {
    requests: usize,
    seconds: f64,
    per_second: f64,
    latency_ms: Latency,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us_per_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_bytes_per_request: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_kib: Option<u64>,
}

#[derive(Serialize)]
struct Latency {
    p50: f64,
    p95: f64,
    p99: f64,
    max: f64,
}

/// The report for `--json`.
#[derive(Serialize)]
struct ShownReport {
    events: usize,
    lost: usize,
    twice: usize,
    tracking: Shown,
    bare: Shown,
}

/// The result of a bench.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) events: usize,
    /// The number of postbacks that came again after an answer of 200.
    pub(super) twice: usize,
    pub(super) tracking: Figures,
    pub(super) bare: Figures,
}

impl Report {
    fn lost(&self) -> usize {
        self.events - self.tracking.latencies.len()
    }

    /// Returns true if every postback arrived once.
    pub(super) fn is_clean(&self) -> bool {
        self.lost() == 0 && self.twice == 0
    }

    fn disk_bytes(&self) -> Option<f64> {
        self.tracking.used.is_known.then(|| self.tracking.each(count(self.tracking.used.disk_bytes)))
    }

    /// Returns the report as a JSON object.
    pub(super) fn json(&self) -> String {
        let used = &self.tracking.used;
        let tracking = Shown {
            disk_bytes_per_request: self.disk_bytes().map(rounded),
            memory_kib: used.is_known.then_some(used.memory_kib),
            ..self.tracking.shown()
        };
        let report = ShownReport { events: self.events, lost: self.lost(), twice: self.twice, tracking, bare: self.bare.shown() };
        serde_json::to_string(&report).expect("numbers have no failing serializers")
    }

    /// Returns the report as a table, with the server's figures as multiples of the bare client's.
    pub(super) fn table(&self) -> String {
        let (ours, bare) = (&self.tracking, &self.bare);
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(["", "tracking", "bare client", "ratio"]);
        let mut row = |name: &str, ours: Option<f64>, bare: Option<f64>| {
            let shown = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.1}"));
            let ratio = ours.zip(bare).filter(|(_, bare)| *bare > 0.0).map(|(ours, bare)| ours / bare);
            table.add_row([
                name.to_owned(),
                shown(ours),
                shown(bare),
                ratio.map_or(String::new(), |ratio| format!("{ratio:.2}")),
            ]);
        };
        row("postbacks a second", Some(ours.per_second()), Some(bare.per_second()));
        for (name, thousandths) in [("p50", 500), ("p95", 950), ("p99", 990), ("slowest", 1_000)] {
            row(&format!("latency {name}, ms"), Some(ours.percentile(thousandths)), Some(bare.percentile(thousandths)));
        }
        row("CPU a postback, µs", ours.cpu_us(), bare.cpu_us());
        row("disk a postback, bytes", self.disk_bytes(), None);
        row("memory at the end, MiB", ours.used.is_known.then(|| count(ours.used.memory_kib) / 1024.0), None);
        for column in table.column_iter_mut().skip(1) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let (arrived, lost) = (ours.latencies.len(), self.lost());
        format!(
            "{table}\n\n{arrived} of {} postbacks arrived, {lost} lost, {} came twice. Latency is from event to arrival; of the bare client \
             from request to response.",
            self.events, self.twice
        )
    }
}

/// Makes a progress bar of the postbacks, on a terminal.
pub(super) fn bar(events: usize) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("postbacks {bar:40} {pos}/{len} {per_sec}").expect("the template's keys are known");
    ProgressBar::with_draw_target(Some(events as u64), target).with_style(style)
}

fn rounded(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "a count is far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}
