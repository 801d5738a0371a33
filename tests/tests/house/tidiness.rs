//! The texts that no source file may hold. They are split here, so that this file doesn't find itself.

use std::collections::BTreeMap;

use super::{File, documents::prose, files, files_ending, none};

/// Most lines of a file.
const MAX_FILE_LINES: usize = 500;

/// Words that no Rust file may hold, and the replacement for each.
const BANNED: &[(&str, &str)] = &[
    (concat!("to", "do!("), "do it, or say why not in words"),
    (concat!("unimple", "mented!("), "do it, or leave it out"),
    (concat!("db", "g!("), "trace it, or leave it out"),
    (concat!("#[al", "low("), "#[expect(…, reason = \"…\")]"),
    (concat!("#![al", "low("), "#![expect(…, reason = \"…\")]"),
    (concat!("contract", " §"), "a rule's number, or a page of docs/"),
];

/// Words with which no doc comment opens.
const HEADLESS: &[&str] = &["What", "Whether", "Who", "Whoever", "Whom", "How", "When", "Where", "Which", "Why"];

/// Words that comments and pages do not use, since each has many meanings, and the replacements. A wire name is code, between backticks.
const VAGUE: &[(&str, &str)] = &[
    ("told", "extracted, reported, published or sent"),
    ("stands", "is, occurs or is written"),
    ("whoever", "anyone who, or the name of the party"),
    ("anew", "again, or from the first step"),
    ("comes to", "ends with, or becomes"),
];

/// Names that no type has: what they mean has a noun in docs/glossary.md.
const FORBIDDEN_TYPES: &[&str] = &[
    "Answer",
    "Ask",
    "Asked",
    "Asking",
    "Candidate",
    "Claimed",
    "Claiming",
    "Definition",
    "Due",
    "Free",
    "Head",
    "Heard",
    "Job",
    "Lined",
    "Pace",
    "Seen",
    "Sent",
    "Settle",
    "Settling",
    "Told",
    "Tried",
    "Turn",
    "Whole",
];

/// Texts that would tie the repository to the machine it was written on.
const MACHINES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/tm", "p/h-"),
    concat!("/tm", "p/t-"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("C:", "\\Users"),
];

/// Returns the Rust files that are built into binaries, without tests and benches.
pub(crate) fn sources() -> Vec<File> {
    let files = files_ending(".rs");
    let tests: Vec<String> = files.iter().flat_map(test_modules).collect();
    let is_test = |path: &str| {
        path.starts_with("tests/")
            || ["/tests/", "/benches/"].iter().any(|folder| path.contains(folder))
            || path.ends_with("tests.rs")
    };
    files.into_iter().filter(|file| !is_test(&file.path) && !tests.contains(&file.path)).collect()
}

/// Returns the files of the modules that a file declares for tests alone.
fn test_modules(file: &File) -> Vec<String> {
    let folder = match file.path.rsplit_once('/') {
        Some((folder, "mod.rs" | "lib.rs" | "main.rs")) => folder.to_owned(),
        _ => file.path.trim_end_matches(".rs").to_owned(),
    };
    let lines: Vec<&str> = file.text.lines().collect();
    let declared = lines.windows(2).filter(|pair| is_test_mark(pair[0]));
    let names = declared.filter_map(|pair| pair[1].strip_suffix(';')?.split_once("mod "));
    names.flat_map(|(_, name)| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")]).collect()
}

fn is_test_mark(line: &str) -> bool {
    line == "#[cfg(test)]" || line == "#[cfg(any(test, feature = \"testing\"))]"
}

/// Returns the lines of a source that are neither comments nor tests, with their numbers.
pub(crate) fn code(file: &File) -> impl Iterator<Item = (usize, &str)> {
    let lines: Vec<&str> = file.text.lines().collect();
    // Tests with a body are at the end of a file.
    let end = lines.windows(2).position(|pair| is_test_mark(pair[0]) && pair[1].ends_with('{')).unwrap_or(lines.len());
    let numbered = lines.into_iter().take(end).enumerate().map(|(at, line)| (at + 1, line));
    numbered.filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        let lines = file.text.lines().count();
        if lines > MAX_FILE_LINES {
            faults.push(format!("{}: {lines} lines; split it into modules of at most {MAX_FILE_LINES}", file.path));
        }
    }
    none(&faults);
}

#[test]
fn every_module_says_first_what_it_is_for() {
    // Unit tests are beside the tested file, under its name.
    let is_unit_tests = |path: &str| path.contains("/src/") && (path.ends_with("tests.rs") || path.contains("/tests/"));
    let silent = files_ending(".rs").into_iter().filter(|file| !is_unit_tests(&file.path) && !file.text.starts_with("//! "));
    none(&silent.map(|file| format!("{}: it does not open with `//! `", file.path)).collect::<Vec<_>>());
}

/// Returns the line numbers at which a doc comment of a source opens without a noun or a verb.
fn headless(text: &str) -> Vec<usize> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let is_doc = |line: &str| line.starts_with("///") || line.starts_with("//!");
    let opens = |at: usize| is_doc(lines[at]) && !at.checked_sub(1).is_some_and(|before| is_doc(lines[before]));
    let first_word = |line: &str| line[3..].split_whitespace().next().unwrap_or_default().to_owned();
    (0..lines.len()).filter(|at| opens(*at) && HEADLESS.contains(&&*first_word(lines[*at]))).map(|at| at + 1).collect()
}

#[test]
fn a_doc_comment_opens_with_a_noun_or_a_verb() {
    let faults = files_ending(".rs").into_iter().flat_map(|file| {
        let lines = headless(&file.text);
        lines
            .into_iter()
            .map(move |line| format!("{}:{line}: open it with a noun phrase or with a verb (`Returns …`)", file.path))
    });
    none(&faults.collect::<Vec<_>>());
}

#[test]
fn a_headless_doc_comment_is_found() {
    let text = "//! What it is.\n\n/// The time.\n/// When it ends.\nfn a() {}\n    /// Whether it is open.\n    fn b() {}\n";
    assert_eq!(headless(text), [1, 6]);
}

/// The types that lines of code declare: the number of the line, `true` if the type is public, and its name.
fn types<'a>(code: impl Iterator<Item = (usize, &'a str)>) -> impl Iterator<Item = (usize, bool, &'a str)> {
    code.filter_map(|(at, line)| {
        let line = line.trim_start();
        let rest = match line.strip_prefix("pub(") {
            Some(restricted) => restricted.split_once(") ")?.1,
            None => line.strip_prefix("pub ").unwrap_or(line),
        };
        let kinds = ["struct ", "enum ", "union ", "trait ", "type "];
        let name = kinds.iter().find_map(|kind| rest.strip_prefix(kind))?;
        let name = name.split(|c: char| !c.is_alphanumeric() && c != '_').next()?;
        Some((at, line.starts_with("pub "), name))
    })
}

#[test]
fn a_crate_has_one_public_type_of_a_name() {
    let mut declared: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for file in sources() {
        let Some((of_crate, _)) = file.path.split_once("/src/") else { continue };
        for (at, _, name) in types(code(&file)).filter(|(_, is_public, _)| *is_public) {
            let places = declared.entry((of_crate.to_owned(), name.to_owned())).or_default();
            places.push(format!("{}:{at}", file.path));
        }
    }
    assert!(declared.len() > 100, "{} public types were found", declared.len());
    let twice = declared.into_iter().filter(|(_, places)| places.len() > 1);
    none(&twice.map(|((_, name), places)| format!("{name} is declared at {}", places.join(" and "))).collect::<Vec<_>>());
}

#[test]
fn no_type_has_a_name_that_says_nothing_of_it() {
    let mut faults = Vec::new();
    for file in sources() {
        let forbidden = types(code(&file)).filter(|(_, _, name)| FORBIDDEN_TYPES.contains(name));
        faults.extend(forbidden.map(|(at, _, name)| format!("{}:{at}: {name} — docs/glossary.md has a noun for it", file.path)));
    }
    none(&faults);
}

#[test]
fn types_are_found_by_their_declarations() {
    let text =
        "pub struct A(u8);\nenum B {}\n    pub trait C<T> {\npub(crate) type D = u8;\npub fn e() {}\npub type F<'a> = &'a str;\n";
    let found: Vec<_> = types(text.lines().enumerate()).collect();
    assert_eq!(found, [(0, true, "A"), (1, false, "B"), (2, true, "C"), (3, false, "D"), (5, true, "F")]);
}

/// Returns the vague words of a line of prose, with their replacements.
fn vague(line: &str) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    // Every second piece between backticks is code.
    let prose = line.split('`').step_by(2).collect::<Vec<_>>().join(" ").to_lowercase();
    let words: Vec<&str> = prose.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let text = format!(" {} ", words.join(" "));
    VAGUE.iter().filter(move |(word, _)| text.contains(&format!(" {word} ")))
}

#[test]
fn no_comment_and_no_page_holds_a_vague_word() {
    let comments = |file: &File| -> String {
        let line = |line: &str| if line.trim_start().starts_with("//") { format!("{line}\n") } else { "\n".to_owned() };
        file.text.lines().map(line).collect()
    };
    let mut texts: Vec<(String, String)> = Vec::new();
    texts.extend(files_ending(".rs").iter().map(|file| (file.path.clone(), comments(file))));
    // The changelog quotes the texts that were replaced.
    let pages = files_ending(".md").into_iter().filter(|file| file.path != "CHANGELOG.md");
    texts.extend(pages.map(|file| (file.path.clone(), prose(&file.text))));
    let mut faults = Vec::new();
    for (path, text) in &texts {
        for (at, line) in text.lines().enumerate() {
            faults.extend(vague(line).map(|(word, instead)| format!("{path}:{}: {word} — instead: {instead}", at + 1)));
        }
    }
    none(&faults);
}

#[test]
fn a_vague_word_is_found() {
    let found = |line: &str| vague(line).map(|(word, _)| *word).collect::<Vec<_>>();
    assert_eq!(found("/// Whoever is told, comes to: this."), ["told", "whoever", "comes to"]);
    assert_eq!(found("/// The member `told`, the standstill, a newer one."), [""; 0]);
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
    for file in sources() {
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
