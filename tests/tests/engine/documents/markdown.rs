//! The parts of a markdown page that tests read: sections, fenced blocks, tables.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns the text of a page of `docs/`.
#[track_caller]
pub(crate) fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the names of all pages of `docs/`.
pub(crate) fn pages() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let files = fs::read_dir(folder).expect("docs/ can be read").map(|file| file.expect("docs/ can be read").path());
    let pages = files.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    let name = |path: PathBuf| path.file_name().expect("a page has a name").to_string_lossy().into_owned();
    let mut names: Vec<String> = pages.map(name).collect();
    names.sort_unstable();
    names
}

/// Returns the sections under headings of this level, such as `## `: their titles and texts.
pub(crate) fn sections<'a>(page: &'a str, level: &str) -> Vec<(&'a str, &'a str)> {
    let mark = format!("\n{level}");
    let parts = page.split(mark.as_str()).skip(1);
    parts.map(|part| part.split_once('\n').unwrap_or((part, ""))).collect()
}

/// Returns the section with this title.
#[track_caller]
pub(crate) fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let found = sections(page, "## ").into_iter().find(|(own, _)| *own == title);
    found.unwrap_or_else(|| panic!("there is no section {title:?}")).1
}

/// Returns the texts of the fenced blocks of this language.
pub(crate) fn blocks<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let open = format!("```{language}\n");
    text.split(open.as_str()).skip(1).map(|rest| rest.split_once("```").map_or(rest, |(block, _)| block.trim_end())).collect()
}

/// Returns the rows of all tables, without heads: their cells.
pub(crate) fn rows(text: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_row = |line: &str| line.starts_with("| ");
    let is_head = |at: usize| lines.get(at + 1).is_some_and(|next| next.starts_with("| ---"));
    let row = |(at, line): (usize, &&str)| (is_row(line) && !line.starts_with("| ---") && !is_head(at)).then(|| cells(line));
    lines.iter().enumerate().filter_map(row).collect()
}

/// Returns the cells of a row; `\|` is a bar within one.
fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\u{0}");
    let inner = line.trim().trim_start_matches('|').trim_end_matches('|');
    inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// Returns the texts between single backticks.
pub(crate) fn code(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn pages_are_read_as_they_are_written() {
    let text = "\n## A\n\n| a | b |\n| --- | --- |\n| `x\\|y` | 2 |\n\n```json\n{}\n```\n## B\nb\n";
    assert_eq!(sections(text, "## ").len(), 2);
    assert_eq!(rows(section(text, "A")), [["`x|y`", "2"]]);
    assert_eq!(blocks(text, "json"), ["{}"]);
    assert_eq!(code("a `b` c `d`"), ["b", "d"]);
}
