//! Untrusted JSON is read by no type that gives some of its keys a meaning, and by no float.

use std::process::Command;

use super::{
    none, root,
    tidiness::{code, sources},
};

/// Places that use `serde_json::Value` for JSON that we write ourselves, or read from ourselves.
const OWN: [&str; 9] = [
    "shared/core/src/json/",
    "shared/api/src/openapi/",
    "shared/api/src/lib.rs",
    "shared/api/src/operation.rs",
    "shared/aws/src/metrics.rs",
    "shared/aws/src/ingest.rs",
    "functions/api/build.rs",
    "functions/local/src/demo/",
    "functions/local/src/openapi.rs",
];

/// Attributes and types that convert their input to a form of their own first.
const BANNED: [&str; 4] = ["serde(flatten", "serde(untagged", "axum::Json", "extract::Json"];

#[test]
fn f1_untrusted_json_is_read_by_typed_structs_or_our_own_reader() {
    let mut faults = Vec::new();
    for file in sources() {
        let own = OWN.iter().any(|place| file.path.starts_with(place));
        for (number, line) in code(&file) {
            let imports = line.contains("use serde_json::") && line.contains("Value") && !line.contains("RawValue");
            if !own && (imports || line.contains("serde_json::Value")) {
                faults.push(format!("{}:{number}: serde_json::Value: use tracking_core::json::Value", file.path));
            }
            if let Some(banned) = BANNED.iter().find(|banned| line.contains(**banned)) {
                faults.push(format!("{}:{number}: {banned}: write a typed struct", file.path));
            }
        }
    }
    none(&faults);
}

#[test]
fn f1_no_package_turns_on_arbitrary_precision() {
    let tree = ["tree", "--workspace", "--edges", "features", "--invert", "serde_json", "--locked", "--offline"];
    let done = Command::new(env!("CARGO")).args(tree).current_dir(root()).output().expect("cargo runs");
    let text = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && text.contains("serde_json"), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(!text.contains("arbitrary_precision"), "{text}");
}
