//! The figures of the Lambda functions, of release builds: their sizes, the time until they take their first event, and the processor time
//! of a postback from the bus to the receiver.
//!
//! `cargo bench --workspace --bench lambda`. It prints each figure with its budget; on a busy machine the figures are worse.

mod batch;
mod cpu;
mod function;
mod path;
mod size;
mod start;

use std::io::{self, Write as _};

use tracking_tests::bootstraps::FUNCTIONS;

/// The number of starts of each function.
const STARTS: usize = 20;
/// The number of postbacks that are sent.
const POSTBACKS: usize = 2_000;

/// The argument with which the bench runs itself to measure plain POSTs.
const POST: &str = "post-only";

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, url, count] = arguments.as_slice()
        && word == POST
    {
        return path::post(url, count.parse().expect("a number")).await;
    }
    for function in FUNCTIONS {
        let (stripped, zipped) = size::of(function);
        say(&format!("{function}: {}, zipped {}", against_budget(stripped, 12.0, "MB"), against_budget(zipped, 5.0, "MB")));
    }
    for function in FUNCTIONS {
        let (usual, worst) = start::of(function, STARTS).await;
        say(&format!("{function}: from exec to the first event {}, at worst {worst:.1} ms", against_budget(usual, 30.0, "ms")));
    }
    let (usual, worst) = batch::against_its_slowest().await;
    say(&format!(
        "a batch of 10 against its slowest receiver of 150 ms: {}, at worst {worst:.2}",
        against_budget(usual, 1.1, "times")
    ));
    let path = path::measure(POSTBACKS).await;
    for (function, micros) in &path.functions {
        say(&format!("{function}: {micros:.0} µs of processor time a postback"));
    }
    let whole: f64 = path.functions.iter().map(|(_, micros)| micros).sum();
    say(&format!("all of them: {whole:.0} µs; a POST by reqwest alone: {:.0} µs", path.post));
    say(&format!("a postback against a POST: {}", against_budget(whole / path.post, 10.0, "times")));
}

fn against_budget(found: f64, budget: f64, unit: &str) -> String {
    let verdict = if found <= budget { "within" } else { "OVER" };
    format!("{found:.2} {unit} ({verdict} {budget})")
}

fn say(line: &str) {
    let _closed = writeln!(io::stdout(), "{line}");
}
