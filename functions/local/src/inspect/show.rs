//! Internals as text: the reason first, then a section for each row that decides.

use std::fmt::Write as _;

use comfy_table::{Table, presets};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tracking_engine::internals::{EntryInternals, HoldInternals, Internals, QueueInternals, RowInternals, RuleInternals};

/// The width of a line's name, in characters.
const NAME: usize = 16;

/// A line of a section; one without a value is left out.
type Line = (&'static str, Option<String>);

/// Returns the internals as sections of text.
pub(super) fn text(internals: &Internals) -> String {
    let Internals { at, row, rule, subject_queue, hold, .. } = internals;
    let mut out = String::new();
    section(&mut out, "", &head(internals));
    section(&mut out, "row", &row.as_ref().map_or_else(|| none("none yet: it has had no attempt"), |row| row_lines(row, *at)));
    section(&mut out, "rule", &rule.as_ref().map_or_else(|| none("deleted, or unreadable"), rule_lines));
    match subject_queue {
        Some(queue) => queue_lines(&mut out, queue),
        None => section(&mut out, "subject queue", &none("none yet, or unreadable")),
    }
    if let Some(hold) = hold {
        section(&mut out, "hold", &hold_lines(hold, *at));
    }
    let due: Vec<Line> =
        internals.due_rows.iter().map(|due| ("due row", some(format!("{} in {}", due.at, due.partition)))).collect();
    let swept = ("swept until", some(time(internals.swept_until, *at).unwrap_or_else(|| "the sweep has not run yet".to_owned())));
    section(&mut out, "due rows", &due.into_iter().chain([swept]).collect::<Vec<_>>());
    if let Some(rate) = &internals.rate {
        let lines = [("next free slot", time(Some(rate.free_from), *at)), ("next late slot", time(Some(rate.late_from), *at))];
        section(&mut out, "rate", &lines);
    }
    let unreadable = internals.unreadable.iter().map(|row| ("row", some(format!("{} {}", row.partition, row.sort))));
    section(&mut out, "unreadable", &unreadable.collect::<Vec<_>>());
    out.trim_end().to_owned()
}

fn head(internals: &Internals) -> Vec<Line> {
    let Internals { id, at, cause, why, until, tracking_api_id, subject, .. } = internals;
    vec![
        ("why", some(why)),
        ("until", some(time(*until, *at).unwrap_or_else(|| "no time ends it".to_owned()))),
        ("cause", some(cause.as_str())),
        ("delivery", some(id)),
        ("tracking API", tracking_api_id.as_ref().map(ToString::to_string)),
        ("subject", subject.clone()),
        ("looked at", some(at)),
    ]
}

fn row_lines(row: &RowInternals, at: Timestamp) -> Vec<Line> {
    let before = if row.base == 0 { String::new() } else { format!(", {} of them before the last resend", row.base) };
    let outbox = row.outbox.as_ref().map(|outbox| format!("events of attempt {}, {}", outbox.attempt, outbox.at));
    vec![
        ("state", some(row.state.as_str())),
        ("reason", row.reason.clone()),
        ("attempts", some(format!("{} of {}{before}", row.attempts, row.max_attempts))),
        ("next due", time(row.next_due, at)),
        ("waits for secret", time(row.waits_since, at)),
        ("pending", row.pending.then(|| "an attempt was answered pending".to_owned())),
        ("epoch", some(row.epoch)),
        ("was held", row.was_held.then(|| "yes".to_owned())),
        ("after", row.after.as_ref().map(ToString::to_string)),
        ("change", some(format!("{}, {}", row.change_id, word(&row.event)))),
        ("conversion", some(format!("{} version {}", row.conversion_id, row.version))),
        ("made", time(Some(row.created_at), at)),
        ("ended", time(row.ended_at, at)),
        ("outbox", outbox),
        ("revision", some(row.revision)),
    ]
}

fn rule_lines(rule: &RuleInternals) -> Vec<Line> {
    let is = |yes: bool| some(if yes { "yes" } else { "no" });
    let unbound = Some(rule.unbound_secrets.join(", ")).filter(|names| !names.is_empty());
    vec![
        ("sends this", is(rule.sends)),
        ("live", is(rule.live)),
        ("epoch", some(rule.epoch)),
        ("version", some(rule.version)),
        ("write again", unbound),
        ("attempts", rule.max_attempts.map(|most| format!("{most} at most"))),
        ("timeout", rule.timeout_seconds.map(|seconds| format!("{seconds} s"))),
        ("rate", rule.rate_per_second.map(|rate| format!("{rate} a second"))),
    ]
}

fn hold_lines(hold: &HoldInternals, at: Timestamp) -> Vec<Line> {
    let HoldInternals { to_send, to_end, to_show, .. } = hold;
    let outbox =
        (to_send + to_end + to_show > 0).then(|| format!("{to_send} to send, {to_end} to end, {to_show} to show as held"));
    vec![
        ("phase", hold.phase.clone()),
        ("settled", time(hold.settled_at, at)),
        ("held since", time(hold.held_since, at)),
        ("due", time(hold.due, at)),
        ("message at", time(hold.woken_at, at)),
        ("outbox", outbox),
        ("subjects", some(format!("{}, {} of them held", hold.subjects, hold.held))),
        ("conversion", some(format!("version {}", hold.version))),
        ("epoch", some(hold.epoch)),
        ("revision", some(hold.revision)),
    ]
}

fn queue_lines(out: &mut String, queue: &QueueInternals) {
    section(out, "subject queue", &[("head", some(format!("version {}", queue.head))), ("revision", some(queue.revision))]);
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["  delivery", "version", "attempts", "state", "claim", "waits"]);
    for entry in &queue.entries {
        table.add_row(entry_cells(entry));
    }
    let table = table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n");
    out.truncate(out.trim_end().len());
    let _infallible = write!(out, "\n{table}\n\n");
}

fn entry_cells(entry: &EntryInternals) -> [String; 6] {
    let mark = if entry.is_this { "*" } else { " " };
    let claim = entry.claim.as_ref().map(|claim| {
        let kind = if claim.is_live { format!("lease until {}", claim.lease_until) } else { "recorded or void".to_owned() };
        format!("{kind} (incarnation {})", claim.incarnation)
    });
    let waits = [
        entry.behind.as_ref().map(|first| format!("behind {} ({})", first.id, word(&first.kind))),
        entry.slot.map(|slot| format!("slot at {slot}")),
        entry.parked_until.map(|until| format!("known until {until}")),
        entry.returns.map(|returns| format!("attempt {} given back {} times", returns.attempt, returns.times)),
        entry.instruction.map(|instruction| format!("a person asked: {}", word(&instruction))),
    ];
    [
        format!("{mark} {}", entry.id),
        format!("{}.{}", entry.version, entry.rank),
        format!(
            "{} claimed, {} recorded",
            entry.attempts,
            entry.recorded.map_or_else(|| "none".to_owned(), |count| count.to_string())
        ),
        entry.state.map_or("-", |state| state.as_str()).to_owned(),
        claim.unwrap_or_else(|| "-".to_owned()),
        Some(waits.into_iter().flatten().collect::<Vec<_>>().join(", "))
            .filter(|waits| !waits.is_empty())
            .unwrap_or_else(|| "-".to_owned()),
    ]
}

fn section(out: &mut String, title: &str, lines: &[Line]) {
    if lines.iter().all(|(_, value)| value.is_none()) {
        return;
    }
    if !title.is_empty() {
        let _infallible = writeln!(out, "{title}");
    }
    let indent = if title.is_empty() { "" } else { "  " };
    for (name, value) in lines {
        if let Some(value) = value {
            // Reasons may quote text of a receiver.
            let value = value.replace(char::is_control, "\u{fffd}");
            let _infallible = writeln!(out, "{indent}{name:NAME$}  {value}");
        }
    }
    out.push('\n');
}

fn none(what: &str) -> Vec<Line> {
    vec![("-", some(what))]
}

#[expect(clippy::unnecessary_wraps, reason = "the value of a line")]
fn some(value: impl std::fmt::Display) -> Option<String> {
    Some(value.to_string())
}

/// Formats a time, and its distance from now.
fn time(time: Option<Timestamp>, now: Timestamp) -> Option<String> {
    let time = time?;
    let away = now.duration_until(time);
    let words = if away.is_negative() { format!("{} ago", span(-away)) } else { format!("in {}", span(away)) };
    Some(format!("{time} ({words})"))
}

fn span(time: SignedDuration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Returns a value of a closed list as the API writes it.
fn word(value: &impl Serialize) -> String {
    let word = serde_json::to_string(value).expect("words have no failing serializers");
    word.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_says_how_far_it_is_away() {
        let now: Timestamp = "2026-11-22T09:00:00Z".parse().unwrap();
        let at = |text: &str| time(Some(text.parse().unwrap()), now).unwrap();
        assert_eq!(at("2026-11-22T09:00:48Z"), "2026-11-22T09:00:48Z (in 48 s)");
        assert_eq!(at("2026-11-22T08:58:59Z"), "2026-11-22T08:58:59Z (1 min 1 s ago)");
        assert_eq!(at("2026-11-22T12:30:00Z"), "2026-11-22T12:30:00Z (in 3 h 30 min)");
        assert_eq!(at("2026-11-29T09:00:00Z"), "2026-11-29T09:00:00Z (in 7 d 0 h)");
        assert_eq!(time(None, now), None);
    }
}
