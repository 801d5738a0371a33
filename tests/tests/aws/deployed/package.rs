//! The packaged application, as `sam build` writes it: the template, and for each function a folder with a `bootstrap`. The binaries are
//! those of this build.
//!
//! Two things are changed that the emulator handles differently from AWS.
//!
//! - A mapping's concurrency from a parameter stays a text there, and is compared with a number: it is written as a literal.
//! - It doesn't support alarms on expressions: they are left out.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tracking_tests::bootstraps::{bootstrap, workspace};

/// The highest number of environments that work a queue.
pub(crate) const CONCURRENCY: &str = "4";

/// Packages the application in this folder, and returns its template.
pub(crate) fn package(folder: &Path) -> PathBuf {
    let read = |name: &str| fs::read_to_string(workspace().join(name)).unwrap();
    fs::create_dir(folder.join("infra")).unwrap();
    fs::write(folder.join("infra/watch.yaml"), without_expressions(&read("infra/watch.yaml"))).unwrap();
    let (template, functions) = with_code_beside(&with_concurrency(&read("template.yaml")));
    for function in functions {
        let binary =
            bootstrap(&function.strip_suffix("Function").expect("functions are named after their binaries").to_lowercase());
        fs::create_dir(folder.join(&function)).unwrap();
        let file = folder.join(&function).join("bootstrap");
        fs::hard_link(&binary, &file).or_else(|_| fs::copy(&binary, &file).map(drop)).unwrap();
    }
    let file = folder.join("template.yaml");
    fs::write(&file, template).unwrap();
    file
}

/// Returns a resource's name, if this line opens one.
fn opens(line: &str) -> Option<&str> {
    line.strip_prefix("  ")?.strip_suffix(':').filter(|name| name.chars().all(char::is_alphanumeric))
}

/// Moves each function's code to a folder of the function's name. Returns the template and these names.
fn with_code_beside(template: &str) -> (String, Vec<String>) {
    let mut resource = "";
    let mut functions = Vec::new();
    let mut lines = Vec::new();
    for line in template.lines() {
        resource = opens(line).unwrap_or(resource);
        match line.split_once("CodeUri:") {
            Some((indent, _)) if indent.trim().is_empty() => {
                functions.push(resource.to_owned());
                lines.push(format!("{indent}CodeUri: {resource}"));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    assert_eq!(functions.len(), 4, "these functions have code: {functions:?}");
    (lines.join("\n"), functions)
}

fn with_concurrency(template: &str) -> String {
    let by_parameter = "MaximumConcurrency: !Ref MaxConcurrency";
    assert_eq!(template.matches(by_parameter).count(), 3, "each mapping's concurrency is a parameter");
    template.replace(by_parameter, &format!("MaximumConcurrency: {CONCURRENCY}"))
}

fn without_expressions(template: &str) -> String {
    let mut blocks: Vec<Vec<&str>> = vec![Vec::new()];
    for line in template.lines() {
        // A line that isn't indented opens a block of its own too.
        if opens(line).is_some() || (!line.starts_with(' ') && !line.is_empty()) {
            blocks.push(Vec::new());
        }
        blocks.last_mut().unwrap().push(line);
    }
    let is_alarm = |block: &[&str]| block.iter().any(|line| line.trim() == "Type: AWS::CloudWatch::Alarm");
    let calculates = |block: &[&str]| block.iter().any(|line| line.trim() == "Metrics:");
    let before = blocks.len();
    blocks.retain(|block| !(is_alarm(block) && calculates(block)));
    assert!(blocks.len() < before, "there are no alarms on expressions: nothing needs to be left out");
    blocks.concat().join("\n")
}
