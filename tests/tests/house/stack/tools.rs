//! The checks of SAM and cfn-lint on the template.

use std::{collections::BTreeMap, fs};

use tracking_tests::tools;

use crate::stack::templates::{FILES, lint, packaged, root, stack, text};

/// Runs a tool in the workspace's folder; it must succeed without a complaint.
#[track_caller]
fn passes(program: &str, args: &[&str]) {
    let done = tools::command(tools::sam(), program).args(args).current_dir(root()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(done.status.success(), "{program} {args:?}:\n{}\n{}", text(&done.stdout), text(&done.stderr));
}

#[test]
fn sam_validates_the_template() {
    passes("sam", &["validate"]);
}

#[test]
fn sam_s_linter_passes_the_template() {
    passes("sam", &["validate", "--lint"]);
}

#[test]
fn cfn_lint_passes_the_template_as_it_is_written() {
    passes("cfn-lint", &FILES);
}

#[test]
fn cfn_lint_passes_the_template_as_sam_translates_it() {
    let faults = lint(&BTreeMap::from([("translated".to_owned(), packaged(&stack().main))]));
    assert_eq!(faults["translated"], Vec::<String>::new());
}

/// Checks that `sam deploy` can use the entries of samconfig.toml.
#[test]
fn the_defaults_for_deploying_name_parameters_that_there_are() {
    let config = text("samconfig.toml");
    let line = config.lines().find_map(|line| line.strip_prefix("parameter_overrides = ")).expect("parameters are given");
    let given: Vec<String> = serde_json::from_str(line).unwrap();
    let parameters = &stack().main["Parameters"];
    for (name, value) in given.iter().map(|one| one.split_once('=').unwrap()) {
        assert!(parameters.get(name).is_some(), "{name} is no parameter");
        assert!(!value.is_empty(), "{name} is given nothing");
    }
    for needed in ["resolve_s3 = true", "\"CAPABILITY_IAM\"", "confirm_changeset = true", "stack_name = "] {
        assert!(config.contains(needed), "samconfig.toml lacks {needed}");
    }
}

#[test]
fn the_outputs_are_described_and_lead_to_what_there_is() {
    let stack = stack();
    let outputs = stack.main["Outputs"].as_object().unwrap();
    let wanted = [
        "ApiUrl",
        "ConsoleUrl",
        "DashboardUrl",
        "DataKeyArn",
        "DeliveryDeadLettersUrl",
        "DeliveryQueueUrl",
        "EventRuleArn",
        "EventsDeadLettersUrl",
        "EventsQueueUrl",
        "IngestFailuresUrl",
        "RejectedQueueUrl",
        "RetryDeadLettersUrl",
        "RetryQueueUrl",
        "TableName",
    ];
    let mut names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, wanted);
    for (name, output) in outputs {
        assert!(output["Description"].is_string(), "{name} is not described");
    }
}

#[test]
fn the_guide_names_every_parameter_and_every_output() {
    let guide = fs::read_to_string(root().join("docs/deploy-on-aws.md")).unwrap();
    let stack = stack();
    let named = |part: &str| stack.main[part].as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let missing: Vec<String> = [named("Parameters"), named("Outputs")]
        .concat()
        .into_iter()
        .filter(|name| !guide.contains(&format!("`{name}`")))
        .collect();
    assert_eq!(missing, Vec::<String>::new(), "docs/deploy-on-aws.md does not name them");
}
