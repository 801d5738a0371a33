//! The documents are consistent: their links resolve, and they name things that exist.

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::macros::{catalogue, modifiers};

use super::{File, files, files_ending, none, root};

/// Most lines of ARCHITECTURE.md.
const LONGEST_MAP: usize = 150;
/// The number of rules for each letter of the domain.
const RULES: &[(char, usize)] =
    &[('T', 6), ('R', 10), ('C', 4), ('V', 4), ('Q', 5), ('A', 3), ('L', 3), ('F', 5), ('B', 6), ('P', 6)];

/// Returns a markdown text without its code.
pub(crate) fn prose(text: &str) -> String {
    let mut out = String::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            // Every second piece between backticks is code.
            out.extend(line.split('`').step_by(2));
        }
        out.push('\n');
    }
    out
}

/// Returns the targets of a markdown text's links.
fn links(text: &str) -> Vec<String> {
    prose(text).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// Returns the anchors of a markdown text's headings, as forges derive them.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |title: String| -> String {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter_map(heading).map(anchor).collect()
}

/// Returns the target of a file's link, as a path from the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            ".." => drop(parts.pop()),
            "." | "" => {}
            part => parts.push(part),
        }
    }
    parts.join("/")
}

#[test]
fn links_are_found_in_prose_alone() {
    assert_eq!(links("a [b](c.md#d) `[x](y)`\n```\n[e](f)\n```\n[g](../h)"), ["c.md#d", "../h"]);
    assert_eq!(resolve("docs/adr/one.md", "../domain.md"), "docs/domain.md");
    assert!(anchors("## What is *not* there\n").contains("what-is-not-there"));
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let texts: BTreeMap<String, String> = files_ending(".md").into_iter().map(|File { path, text }| (path, text)).collect();
    let mut faults = Vec::new();
    for (path, text) in &texts {
        for link in links(text).iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if target.is_empty() { path.clone() } else { resolve(path, target) };
            if !root().join(&target).exists() {
                faults.push(format!("{path}: {link} leads to no file"));
            } else if !anchor.is_empty() && texts.get(&target).is_none_or(|text| !anchors(text).contains(anchor)) {
                faults.push(format!("{path}: {link} leads to no heading"));
            }
        }
    }
    none(&faults);
}

#[test]
fn the_map_is_short() {
    let map = files().into_iter().find(|file| file.path == "ARCHITECTURE.md").expect("there is a map");
    let lines = map.text.lines().count();
    assert!(lines <= LONGEST_MAP, "ARCHITECTURE.md has {lines} lines; {LONGEST_MAP} are allowed");
}

#[test]
fn the_domain_s_page_has_every_rule_once() {
    let text = domain();
    let mut faults = Vec::new();
    for rule in RULES.iter().flat_map(|(letter, last)| (1..=*last).map(move |number| format!("{letter}{number}"))) {
        let count = text.matches(&format!("**{rule}**")).count();
        if count != 1 {
            faults.push(format!("docs/domain.md has **{rule}** {count} times"));
        }
    }
    none(&faults);
}

#[test]
fn a_test_that_names_a_rule_names_one_that_there_is() {
    // Tests of findings have the numbers of the page on security.
    let text = domain() + &page("docs/security.md");
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        let names = file.text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
        for (name, rule) in names.filter_map(|name| rule_of(name).map(|rule| (name, rule))) {
            if !text.contains(&format!("**{rule}**")) {
                faults.push(format!("{}: {name} names {rule}, which neither docs/domain.md nor docs/security.md has", file.path));
            }
        }
    }
    none(&faults);
}

/// Returns the rule that a test's name begins with: `r7_…` is R7.
fn rule_of(name: &str) -> Option<String> {
    let (number, _) = name.split_once('_')?;
    let mut letters = number.chars();
    let letter = letters.next().filter(|letter| RULES.iter().any(|(known, _)| known.to_ascii_lowercase() == *letter))?;
    let digits = letters.as_str();
    (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| format!("{}{digits}", letter.to_ascii_uppercase()))
}

fn domain() -> String {
    page("docs/domain.md")
}

fn page(path: &str) -> String {
    files().into_iter().find(|file| file.path == path).expect("the page is there").text
}

#[test]
fn the_page_of_macros_has_every_macro_and_modifier() {
    let text = files().into_iter().find(|file| file.path == "docs/macros.md").expect("macros have a page").text;
    let macros = catalogue().iter().flat_map(|one| [one.name].into_iter().chain(one.aliases.iter().copied()));
    let missing = macros.chain(modifiers().iter().map(|one| one.name)).filter(|name| !text.contains(&format!("`{name}`")));
    none(&missing.map(|name| format!("docs/macros.md does not have `{name}`")).collect::<Vec<_>>());
}

#[test]
fn every_decision_is_on_the_map() {
    let files = files();
    let map = files.iter().find(|file| file.path == "ARCHITECTURE.md").expect("there is a map");
    let decisions = files.iter().filter(|file| file.path.starts_with("docs/adr/"));
    let missing = decisions.filter(|file| !map.text.contains(&file.path));
    none(&missing.map(|file| format!("ARCHITECTURE.md does not name {}", file.path)).collect::<Vec<_>>());
}

/// Reads a row of the budgets in docs/security.md that names a constant: the number that its limit begins with, in bytes if it has a unit.
fn budget(row: &str) -> Option<(u64, &str)> {
    let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [_, limit, _, constant] = cells.as_slice() else { return None };
    let constant = constant.strip_prefix('`')?.strip_suffix('`')?;
    let end = limit.find(|c: char| !c.is_ascii_digit() && c != ' ').unwrap_or(limit.len());
    let (number, unit) = limit.split_at(end);
    let number: u64 = number.replace(' ', "").parse().ok()?;
    let scale = if unit.starts_with("KiB") {
        1 << 10
    } else if unit.starts_with("MiB") {
        1 << 20
    } else {
        1
    };
    Some((number * scale, constant))
}

/// Returns the value of a constant such as `64 * 1_024` or `1 << 20`.
fn evaluated(expression: &str) -> Option<u64> {
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok();
    if let Some((number_, by)) = expression.split_once("<<") {
        return Some(number(number_)? << number(by)?);
    }
    expression.split('*').map(number).product()
}

#[test]
fn a_budget_of_the_page_on_security_is_the_constant_s() {
    assert_eq!(budget("| a rule | 64 KiB, at most | refused | `MAX` |"), Some((65_536, "MAX")));
    assert_eq!(budget("| values | 1 000 | refused | `MAX` |"), Some((1_000, "MAX")));
    assert_eq!((evaluated("64 * 1_024"), evaluated("1 << 20"), evaluated("x")), (Some(65_536), Some(1_048_576), None));
    let sources = files_ending(".rs");
    let text = page("docs/security.md");
    let rows: Vec<(u64, &str)> = text.lines().filter_map(budget).collect();
    assert!(rows.len() >= 30, "{} budgets were read", rows.len());
    let is_constant = |line: &str, value: u64, name: &str| {
        let declared = line.split_once(&format!("const {name}: ")).and_then(|(_, rest)| rest.split_once(" = "));
        declared.and_then(|(_, rest)| evaluated(rest.split(';').next()?)).is_some_and(|declared| declared == value)
    };
    let is_declared = |value, name| sources.iter().any(|file| file.text.lines().any(|line| is_constant(line, value, name)));
    let wrong = rows.iter().filter(|(value, name)| !is_declared(*value, name));
    none(&wrong.map(|(value, name)| format!("docs/security.md: no constant {name} is {value}")).collect::<Vec<_>>());
}
