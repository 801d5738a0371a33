//! A chart of latency over time.

use std::{fmt::Write as _, time::Duration};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 320.0;
/// The room for the labels.
const MARGIN: f64 = 50.0;
/// Intervals of time, each with a point of every line.
const POINTS: usize = 60;
/// The lines: a name, thousandths, a colour.
const LINES: [(&str, usize, &str); 3] = [("p50", 500, "#2a7"), ("p95", 950, "#d80"), ("p99", 990, "#c33")];

/// Draws percentiles of the latencies, which are sorted by the time of their arrival.
pub(super) fn svg(arrivals: &[(Duration, Duration)]) -> String {
    let (first, last) = (arrivals.first(), arrivals.last());
    let (begin, end) = (first.map_or(0.0, |(at, _)| at.as_secs_f64()), last.map_or(1.0, |(at, _)| at.as_secs_f64()));
    let span = (end - begin).max(1e-3);
    let stretches: Vec<Vec<f64>> = arrivals
        .chunk_by(|(one, _), (other, _)| place(one.as_secs_f64() - begin, span) == place(other.as_secs_f64() - begin, span))
        .map(|some| {
            let mut latencies: Vec<f64> = some.iter().map(|(_, latency)| latency.as_secs_f64() * 1e3).collect();
            latencies.sort_unstable_by(f64::total_cmp);
            latencies
        })
        .collect();
    let most = stretches.iter().filter_map(|some| some.last()).copied().fold(1.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>"
    );
    for part in 0..=4 {
        let (value, y) = (most * f64::from(part) / 4.0, HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * f64::from(part) / 4.0);
        let _infallible = write!(
            svg,
            "<path d=\"M{MARGIN} {y:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"4\" y=\"{y:.1}\">{value:.1} ms</text>",
            WIDTH - MARGIN
        );
    }
    for (number, (name, thousandths, colour)) in LINES.into_iter().enumerate() {
        let points = stretches.iter().enumerate().map(|(n, some)| {
            let x = MARGIN + (WIDTH - 2.0 * MARGIN) * number_of(n) / number_of(stretches.len().max(2) - 1);
            let value = some[(some.len() - 1) * thousandths / 1_000];
            format!("{x:.1},{:.1}", HEIGHT - MARGIN - (HEIGHT - 2.0 * MARGIN) * value / most)
        });
        let points: Vec<String> = points.collect();
        let _infallible = write!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/><text x=\"{:.1}\" y=\"20\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            MARGIN + 60.0 * number_of(number)
        );
    }
    let _infallible = write!(
        svg,
        "<text x=\"{MARGIN}\" y=\"{:.1}\">0 s</text><text x=\"{:.1}\" y=\"{:.1}\">{span:.1} s</text></svg>",
        HEIGHT - 20.0,
        WIDTH - MARGIN - 20.0,
        HEIGHT - 20.0
    );
    svg
}

/// Returns the interval of a time.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 60")]
fn place(time: f64, span: f64) -> usize {
    (time / span * number_of(POINTS)) as usize
}

#[expect(clippy::cast_precision_loss, reason = "a small number")]
fn number_of(count: usize) -> f64 {
    count as f64
}
