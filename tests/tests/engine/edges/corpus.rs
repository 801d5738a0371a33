//! The kept corpus of the fuzz targets, as ordinary tests: every file, and every file with single bytes changed.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tracking_core::{caller::Caller, json};
use tracking_engine::{DeliveryFilter, rules::Refused};
use tracking_tests::{fuzz::TARGETS, world::World};

/// Changed copies of each file.
const MUTATIONS: usize = 24;
/// The most files, and their most bytes together: the corpus stays small.
const MAX_FILES: usize = 200;
const MAX_BYTES: usize = 1024 * 1024;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// Returns the files of a target with their names, sorted by name.
fn files(target: &str) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder().join(target)).unwrap_or_else(|error| panic!("tests/corpus/{target}: {error}"));
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    files.sort();
    files
}

/// Returns an endless sequence of numbers that the name determines (xorshift).
fn numbers(name: &str) -> impl FnMut(usize) -> usize {
    let mut state =
        name.bytes().fold(0x9e37_79b9_7f4a_7c15_u64, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    }
}

/// Runs a check over an input; a failure names the input.
fn run(what: &str, check: fn(&[u8]), input: &[u8]) {
    let outcome = catch_unwind(AssertUnwindSafe(|| check(input)));
    assert!(outcome.is_ok(), "{what} fails: {}", input.escape_ascii());
}

#[track_caller]
fn check(name: &str) {
    let (_, check) = TARGETS.into_iter().find(|(target, _)| *target == name).unwrap();
    let files = files(name);
    assert!(!files.is_empty(), "tests/corpus/{name} is empty");
    for (file, bytes) in files {
        run(&format!("{name}/{file}"), check, &bytes);
        let mut below = numbers(&file);
        for _ in 0..MUTATIONS {
            let mut changed = bytes.clone();
            let at = below(changed.len() + 1);
            let byte = u8::try_from(below(256)).unwrap();
            match below(3) {
                0 if at < changed.len() => changed[at] = byte,
                1 if at < changed.len() => drop(changed.remove(at)),
                _ => changed.insert(at, byte),
            }
            run(&format!("{name}/{file} with byte {at} changed"), check, &changed);
        }
    }
}

#[test]
fn any_bytes_as_an_event() {
    check("event");
}

#[test]
fn any_bytes_as_a_rule() {
    check("rule");
}

#[test]
fn any_text_with_any_values() {
    check("render");
}

#[test]
fn any_bytes_as_a_response() {
    check("response");
}

#[test]
fn any_text_as_a_cursor() {
    check("cursor");
}

#[test]
fn any_bytes_as_a_token() {
    check("claims");
}

#[test]
fn any_bytes_as_json() {
    check("json");
}

/// A client's text is its own fault on every store: DynamoDB would refuse the query for such a place.
#[tokio::test]
async fn a_cursor_that_names_a_place_longer_than_any_is_refused() {
    let world = World::temporary();
    let ask = async |place: &str| {
        let cursor = BASE64_URL_SAFE_NO_PAD.encode(json!({"after": null, "pages": place}).to_string());
        world.engine().log().list(&Caller::Admin, &DeliveryFilter::default(), 10, Some(&cursor)).await
    };
    assert!(ask(&"9".repeat(128)).await.is_ok());
    let Err(Refused::Faults(faults)) = ask(&"9".repeat(129)).await else { panic!("it is refused") };
    assert_eq!(faults.to_string(), "not a cursor: use the next_cursor of a page as it is");
}

#[test]
fn every_folder_of_the_corpus_has_a_target_and_all_are_small() {
    let mut folders: Vec<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    folders.sort();
    let mut targets = TARGETS.map(|(name, _)| name);
    targets.sort_unstable();
    assert_eq!(folders, targets);
    let all: Vec<_> = targets.iter().flat_map(|target| files(target)).collect();
    assert!(all.len() <= MAX_FILES, "{} files: minimise the corpus, see docs/fuzzing.md", all.len());
    let bytes: usize = all.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(bytes <= MAX_BYTES, "{bytes} bytes: minimise the corpus, see docs/fuzzing.md");
}
