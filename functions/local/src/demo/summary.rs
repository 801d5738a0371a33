//! The summary: a table of each rule's owed and seen postbacks, or a table of the differences.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::{
    api::Made,
    check::{Delivery, Difference, Observations, count, counted},
    sample::{Sample, SampleRule},
};

/// The most differences that are listed.
const MOST_LISTED: usize = 40;

/// Returns a row for each rule: its key, trigger, deliveries and requests owed and seen, and the states of its deliveries.
pub(super) fn rules(sample: &Sample, made: &[Made], seen: &Observations, width: usize) -> String {
    let mut table = table(width);
    table.set_header(["receiver", "trigger", "deliveries\nowed / seen", "requests\nowed / seen", "ended as"]);
    for (rule, made) in sample.rules.iter().zip(made) {
        table.add_row(row(sample, rule, made, seen));
    }
    for index in [2, 3] {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn row(sample: &Sample, rule: &SampleRule, made: &Made, seen: &Observations) -> [String; 5] {
    let its: Vec<&Delivery> = seen.deliveries.iter().filter(|delivery| delivery.key == rule.key).collect();
    let requests = seen.requests.iter().filter(|request| request.key == rule.key).count();
    let (owed, deliveries) = match sample.owed.rules.get(&rule.key) {
        Some(owed) => (owed.clone(), counted(owed, its.clone())),
        None => Default::default(),
    };
    [
        rule.key.clone(),
        rule.trigger().to_owned(),
        format!("{} / {deliveries}", owed.deliveries),
        format!("{} / {requests}", owed.requests),
        states(&its, made, its.len() - deliveries),
    ]
}

/// Returns `7 delivered, 2 failed`; for a rule that is off, the reason.
fn states(its: &[&Delivery], made: &Made, beside: usize) -> String {
    let mut states: Vec<(&str, usize)> = Vec::new();
    for delivery in its {
        match states.iter_mut().find(|(state, _)| *state == delivery.state) {
            Some((_, number)) => *number += 1,
            None => states.push((&delivery.state, 1)),
        }
    }
    states.sort_unstable();
    let mut parts: Vec<String> = states.into_iter().map(|(state, number)| format!("{number} {state}")).collect();
    if beside > 0 {
        parts.push(format!("{beside} of them optional"));
    }
    if !made.active {
        parts.push(made.inactive_reason.clone().unwrap_or_else(|| "switched off".to_owned()));
    }
    parts.join(", ")
}

/// Returns a row for each difference, up to `MOST_LISTED`.
pub(super) fn differences(found: &[Difference], width: usize) -> String {
    let mut table = table(width);
    table.set_header(["receiver", "about", "owed", "seen"]);
    for difference in found.iter().take(MOST_LISTED) {
        table.add_row([&difference.key, &difference.about, &difference.owed, &difference.seen]);
    }
    let more = found.len().saturating_sub(MOST_LISTED);
    if more > 0 { format!("{table}\n… and {}", count(more, "difference")) } else { table.to_string() }
}

fn table(width: usize) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table
}
