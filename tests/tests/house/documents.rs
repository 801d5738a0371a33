//! The documents hold what they promise: their links lead somewhere, and they name what there is.

use std::collections::{BTreeMap, BTreeSet};

use tracking_core::macros::{catalogue, modifiers};

use super::{File, files, files_ending, none, root};

/// Most lines of ARCHITECTURE.md.
const LONGEST_MAP: usize = 150;
/// How many rules each letter of the domain has.
const RULES: &[(char, usize)] = &[('T', 6), ('R', 10), ('C', 4), ('V', 4), ('Q', 5), ('A', 3), ('L', 3), ('F', 5), ('P', 6)];

/// A markdown text without its code.
fn prose(text: &str) -> String {
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

/// The targets of a markdown text's links.
fn links(text: &str) -> Vec<String> {
    prose(text).split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target.to_owned()).collect()
}

/// The anchors of a markdown text's headings, as forges derive them.
fn anchors(text: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| line.trim_start_matches('#').trim().to_lowercase());
    let anchor = |title: String| -> String {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    text.lines().filter_map(heading).map(anchor).collect()
}

/// Where a link of a file leads, as a path from the root.
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
        let stands = text.matches(&format!("**{rule}**")).count();
        if stands != 1 {
            faults.push(format!("docs/domain.md has **{rule}** {stands} times"));
        }
    }
    none(&faults);
}

#[test]
fn a_test_that_names_a_rule_names_one_that_there_is() {
    let text = domain();
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        let names = file.text.lines().filter_map(|line| line.trim_start().trim_start_matches("async ").strip_prefix("fn "));
        for (name, rule) in names.filter_map(|name| rule_of(name).map(|rule| (name, rule))) {
            if !text.contains(&format!("**{rule}**")) {
                faults.push(format!("{}: {name} tells of {rule}, which docs/domain.md does not have", file.path));
            }
        }
    }
    none(&faults);
}

/// The rule that a test's name begins with: `r7_…` is R7.
fn rule_of(name: &str) -> Option<String> {
    let (number, _) = name.split_once('_')?;
    let mut letters = number.chars();
    let letter = letters.next().filter(|letter| RULES.iter().any(|(known, _)| known.to_ascii_lowercase() == *letter))?;
    let digits = letters.as_str();
    (!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit()))
        .then(|| format!("{}{digits}", letter.to_ascii_uppercase()))
}

fn domain() -> String {
    files().into_iter().find(|file| file.path == "docs/domain.md").expect("the domain has a page").text
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
