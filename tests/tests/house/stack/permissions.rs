//! The calls that the code makes, against the permissions of the roles: no emulator checks a role.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stack::{
    access::GRANTS,
    templates::{code, listed, stack},
};

/// A method of the AWS SDK that makes a call, and the action that must be allowed for it.
const CALLS: &[(&str, &str)] = &[
    (".batch_get_item()", "dynamodb:BatchGetItem"),
    (".batch_write_item()", "dynamodb:BatchWriteItem"),
    (".delete_item()", "dynamodb:DeleteItem"),
    (".put_item()", "dynamodb:PutItem"),
    (".query()", "dynamodb:Query"),
    (".change_message_visibility_batch()", "sqs:ChangeMessageVisibility"),
    (".get_queue_attributes()", "sqs:GetQueueAttributes"),
    (".send_message()", "sqs:SendMessage"),
    (".send_message_batch()", "sqs:SendMessage"),
    (".put_events()", "events:PutEvents"),
    (".decrypt()", "kms:Decrypt"),
    (".generate_data_key()", "kms:GenerateDataKey"),
];

/// Actions that our code doesn't call: Lambda does, with the function's role.
const LAMBDA_S: &[&str] = &["logs:CreateLogStream", "logs:PutLogEvents", "sqs:DeleteMessage", "sqs:ReceiveMessage"];

/// Calls of the SDK that we don't make. A role that lacks them would fail on AWS alone.
const NOT_MADE: &[&str] = &[
    ".get_item()",
    ".update_item()",
    ".transact_write_items()",
    ".transact_get_items()",
    ".execute_statement()",
    ".scan()",
    ".delete_message()",
    ".delete_message_batch()",
    ".receive_message()",
    ".change_message_visibility()",
    ".get_queue_url()",
    ".encrypt()",
    ".generate_data_key_without_plaintext()",
    ".re_encrypt()",
];

/// Returns all code that calls AWS, without blanks, so that a chain of methods is one text.
fn calling() -> String {
    let folders =
        ["shared/aws/src", "functions/ingest/src", "functions/matcher/src", "functions/delivery/src", "functions/api/src"];
    folders.iter().flat_map(|folder| code(folder).chars().filter(|c| !c.is_whitespace()).collect::<Vec<_>>()).collect()
}

#[test]
fn roles_may_do_what_the_code_does_and_no_more() {
    let code = calling();
    let allowed: BTreeSet<&str> = GRANTS.iter().flat_map(|(_, _, actions)| actions.iter().copied()).collect();
    let mut faults = Vec::new();
    let mut used: BTreeSet<&str> = LAMBDA_S.iter().copied().collect();
    for (call, action) in CALLS.iter().filter(|(call, _)| code.contains(call)) {
        used.insert(action);
        if !allowed.contains(action) {
            faults.push(format!("the code calls {call}, and no role may {action}"));
        }
    }
    for action in allowed.difference(&used) {
        faults.push(format!("roles may {action}, and nothing calls it"));
    }
    for call in NOT_MADE.iter().filter(|call| code.contains(**call)) {
        faults.push(format!("the code calls {call}: give it a line in CALLS and its roles a grant"));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

/// Checks that the role names the source with which the code publishes; AWS alone would refuse another.
#[test]
fn f14_events_are_published_in_our_own_name_alone() {
    assert!(code("shared/aws/src").contains("const SOURCE: &str = \"tracking-api\";"));
    let roles = stack().of("AWS::IAM::Role");
    let statements = roles.flat_map(|(_, role)| listed(&role["Policies"])).flat_map(|policy| {
        let statements = listed(&policy["PolicyDocument"]["Statement"]);
        statements.iter().filter(|statement| listed(&statement["Action"]).contains(&json!("events:PutEvents")))
    });
    let conditions: Vec<&Value> = statements.map(|statement| &statement["Condition"]).collect();
    assert_eq!(conditions, [&json!({"StringEquals": {"events:source": "tracking-api"}})]);
}
