//! `tracking bench`: every postback arrives, and the figures are those of this run.

use serde_json::Value;

use crate::support::{run, text};

fn figures(more: &[&str]) -> Value {
    let done = run(&[&["bench", "--json", "--events", "300"], more].concat());
    assert!(done.status.success(), "{}{}", text(&done.stdout), text(&done.stderr));
    serde_json::from_slice(&done.stdout).expect("it prints one JSON object")
}

fn number(figures: &Value, pointer: &str) -> f64 {
    figures.pointer(pointer).and_then(Value::as_f64).unwrap_or_else(|| panic!("{pointer} of {figures}"))
}

#[test]
fn the_bench_reports_figures_of_the_server_and_of_a_bare_client() {
    let report = figures(&[]);
    assert_eq!((&report["events"], &report["lost"], &report["twice"]), (&300.into(), &0.into(), &0.into()));
    for of in ["tracking", "bare"] {
        assert_eq!(report[of]["requests"], 300);
        assert!(number(&report, &format!("/{of}/per_second")) > 0.0);
        let latency = ["p50", "p95", "p99", "max"].map(|name| number(&report, &format!("/{of}/latency_ms/{name}")));
        assert!(latency[0] > 0.0 && latency.is_sorted(), "{latency:?}");
    }
    assert!(number(&report, "/tracking/cpu_us_per_request") > 0.0 && number(&report, "/tracking/memory_kib") > 1_000.0);
}

#[test]
fn the_bench_keeps_a_rate_with_receivers_that_hang_and_fail() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("latency.svg");
    let plot = file.to_str().expect("its name is UTF-8");
    let report =
        figures(&["--rate", "150", "--receivers", "3", "--hang", "2", "--fail", "10", "--latency-ms", "5", "--plot", plot]);
    assert_eq!((&report["lost"], &report["twice"]), (&0.into(), &0.into()));
    let per_second = number(&report, "/bare/per_second");
    assert!((50.0..=151.0).contains(&per_second), "{per_second}");
    assert!(number(&report, "/tracking/latency_ms/max") >= 700.0, "a tenth is sent again after a second: {report}");
    let svg = std::fs::read_to_string(&file).expect("the picture is there");
    assert!(svg.starts_with("<svg") && svg.matches("<polyline").count() == 3 && svg.ends_with("</svg>"));
}

#[test]
fn a_bench_of_nothing_is_refused() {
    for arguments in [["bench", "--events", "0"], ["bench", "--rate", "0"], ["bench", "--receivers", "0"]] {
        let refused = run(&arguments);
        assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    }
}
