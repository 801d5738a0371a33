//! What no source file may hold. The words stand here in halves, so that this file doesn't find itself.

use super::{File, files, files_ending, none};

/// Most lines of a file.
const LONGEST_FILE: usize = 500;
/// Most characters of a line of code.
const LONGEST_LINE: usize = 130;

/// Words that no Rust file may hold, and what to do instead.
const BANNED: &[(&str, &str)] = &[
    (concat!("to", "do!("), "do it, or say why not in words"),
    (concat!("unimple", "mented!("), "do it, or leave it out"),
    (concat!("db", "g!("), "trace it, or leave it out"),
    (concat!("#[al", "low("), "#[expect(…, reason = \"…\")]"),
    (concat!("#![al", "low("), "#![expect(…, reason = \"…\")]"),
];

/// Texts that would tie the repository to a machine it was written on.
const MACHINES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/h-"),
    concat!("/tm", "p/t-"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("C:", "\\Users"),
];

/// The lines of a file that are neither comments nor tests, with their numbers.
pub(crate) fn code(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let is_test = file.path.contains("/tests/") || file.path.contains("/benches/") || file.path.ends_with("tests.rs");
    let lines: Vec<&str> = if is_test { Vec::new() } else { file.text.lines().collect() };
    let tests =
        lines.iter().position(|line| line.trim() == "#[cfg(test)]" || line.trim() == "#[cfg(any(test, feature = \"testing\"))]");
    // What is behind the first mark is tests, if a module's body follows it rather than a declaration.
    let tests = tests.filter(|at| lines.get(at + 1).is_some_and(|next| next.trim_end().ends_with('{'))).unwrap_or(lines.len());
    lines
        .into_iter()
        .take(tests)
        .enumerate()
        .map(|(at, line)| (at + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_file_is_longer_than_a_reader_s_patience() {
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        let lines = file.text.lines().count();
        if lines > LONGEST_FILE {
            faults.push(format!("{}: {lines} lines; split it into modules of at most {LONGEST_FILE}", file.path));
        }
        for (at, line) in file.text.lines().enumerate().filter(|(_, line)| line.chars().count() > LONGEST_LINE) {
            let length = line.chars().count();
            // What rustfmt can't break, such as a long literal, may stay.
            if !line.contains('"') {
                faults.push(format!("{}:{}: {length} characters; {LONGEST_LINE} are allowed", file.path, at + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_module_says_first_what_it_is_for() {
    let silent =
        files_ending(".rs").into_iter().filter(|file| !file.path.ends_with("tests.rs") && !file.path.contains("/tests/"));
    let silent = silent.filter(|file| !file.text.starts_with("//! "));
    none(&silent.map(|file| format!("{}: it does not open with `//! `", file.path)).collect::<Vec<_>>());
}

#[test]
fn no_source_holds_a_banned_word() {
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        for (at, line) in file.text.lines().enumerate() {
            for (word, instead) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
                faults.push(format!("{}:{}: {word} — instead: {instead}", file.path, at + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn what_can_t_be_says_why() {
    let unwrap = concat!(".unw", "rap()");
    let bare = concat!(".exp", "ect(\"\")");
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        for (at, _) in code(&file).filter(|(_, line)| line.contains(unwrap) || line.contains(bare)) {
            faults.push(format!("{}:{at}: write expect(\"why it holds\")", file.path));
        }
    }
    none(&faults);
}

#[test]
fn nothing_names_the_machine_it_was_written_on() {
    let mut faults = Vec::new();
    for file in files() {
        for (at, line) in file.text.lines().enumerate() {
            for word in MACHINES.iter().filter(|word| line.contains(**word)) {
                faults.push(format!("{}:{}: {word}", file.path, at + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_crate_comes_from_the_public_registry() {
    let index = "registry+https://github.com/rust-lang/crates.io-index";
    let mut faults = Vec::new();
    for file in files() {
        if file.path.starts_with("tests/tests/house/") {
            continue;
        }
        for (at, line) in file.text.lines().enumerate() {
            let elsewhere =
                ["registry+", "sparse+", "git+http"].iter().any(|scheme| line.contains(scheme)) && !line.contains(index);
            if elsewhere {
                faults.push(format!("{}:{}: {line}", file.path, at + 1));
            }
        }
    }
    none(&faults);
}

#[test]
fn every_file_ends_with_one_line_break() {
    let kinds = [".rs", ".md", ".toml", ".py", ".json", ".sql", ".yaml", ".yml"];
    let mut faults = Vec::new();
    for file in files().iter().filter(|file| kinds.iter().any(|kind| file.path.ends_with(kind))) {
        if !file.text.ends_with('\n') || file.text.ends_with("\n\n") {
            faults.push(format!("{}: it should end with one line break", file.path));
        }
        if file.text.contains('\r') {
            faults.push(format!("{}: its lines end with CR", file.path));
        }
    }
    none(&faults);
}
