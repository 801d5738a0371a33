//! The stores: the table, the key, the logs, and the parameters of their retention.

use serde_json::{Value, json};

use crate::stack::{
    faults::Faults,
    functions::FUNCTIONS,
    templates::{Stack, reference},
};

/// A parameter, its default, its minimum and its maximum.
const BOUNDS: [(&str, &str, u64, u64); 4] = [
    ("DeliveryRetentionDays", "90", 31, 3_650),
    ("MaxConcurrency", "50", 2, 1_000),
    ("ApiReservedConcurrency", "0", 0, 1_000),
    ("Memory", "256", 128, 10_240),
];

/// The defaults of the other parameters.
const DEFAULTS: [(&str, &str); 10] = [
    ("PublicUrl", ""),
    ("RoleClaim", "role"),
    ("AffiliateClaim", "affiliate_id"),
    ("ConsoleClientId", ""),
    ("ConsoleScopes", "openid"),
    ("ConsoleOrigins", ""),
    ("EventBusName", "default"),
    ("Architecture", "x86_64"),
    ("PrivateTargets", "false"),
    ("KeepEvents", "false"),
];

pub(crate) fn check(stack: &Stack, faults: &mut Faults) {
    table(stack, faults);
    key(stack, faults);
    logs(stack, faults);
    parameters(stack, faults);
}

fn table(stack: &Stack, faults: &mut Faults) {
    let table = stack.properties("Table");
    let key = |hash: &str, range: &str| json!([{"AttributeName": hash, "KeyType": "HASH"}, {"AttributeName": range, "KeyType": "RANGE"}]);
    faults.unless(table["BillingMode"] == "PAY_PER_REQUEST", "the table is not paid by request");
    faults.unless(table["KeySchema"] == key("pk", "sk"), "the table has another key than pk, sk");
    let index = json!([{
        "IndexName": "trouble",
        "KeySchema": key("tpk", "tsk"),
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }]);
    faults.unless(table["GlobalSecondaryIndexes"] == index, "the table has another index than trouble (tpk, tsk; keys only)");
    let attributes: Vec<Value> =
        ["pk", "sk", "tpk", "tsk"].map(|name| json!({"AttributeName": name, "AttributeType": "S"})).into();
    faults.unless(table["AttributeDefinitions"] == json!(attributes), "the table's keys are no texts");
    let expiry = json!({"AttributeName": "expires", "Enabled": true});
    faults.unless(table["TimeToLiveSpecification"] == expiry, "nothing expires in the table");
    let recovery = &table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"];
    faults.unless(*recovery == true, "the table can't be brought back to a point in time");
    faults.unless(table["SSESpecification"]["SSEEnabled"] == true, "the table is not encrypted");
    kept(stack, "Table", faults);
}

fn key(stack: &Stack, faults: &mut Faults) {
    let key = stack.properties("DataKey");
    faults.unless(key["EnableKeyRotation"] == true, "the key is never rotated");
    kept(stack, "DataKey", faults);
    let statements = key["KeyPolicy"]["Statement"].as_array().cloned().unwrap_or_default();
    let allows = |action: &str| {
        let root = json!({"AWS": {"Fn::Sub": "arn:${AWS::Partition}:iam::${AWS::AccountId}:root"}});
        statements.iter().any(|statement| {
            statement["Principal"] == root && statement["Action"].as_array().is_some_and(|all| all.contains(&action.into()))
        })
    };
    // Without the first action nobody could change the policy again, and KMS refuses such a key; the others are those that roles are
    // granted.
    for action in ["kms:PutKeyPolicy", "kms:Decrypt", "kms:GenerateDataKey", "kms:ScheduleKeyDeletion", "kms:EnableKeyRotation"] {
        faults.unless(allows(action), format!("the account can't be granted {action}"));
    }
    faults.unless(!allows("kms:CreateGrant"), "the key's use can be handed on");
}

/// Checks that a resource is kept when the stack is deleted or the resource replaced.
fn kept(stack: &Stack, name: &str, faults: &mut Faults) {
    for policy in ["DeletionPolicy", "UpdateReplacePolicy"] {
        let kept = stack.main["Resources"][name][policy] == "Retain";
        faults.unless(kept, format!("{name} does not outlive the stack ({policy})"));
    }
}

fn logs(stack: &Stack, faults: &mut Faults) {
    let groups: Vec<_> = stack.of("AWS::Logs::LogGroup").collect();
    for (name, group) in &groups {
        faults.unless(group["RetentionInDays"] == reference("LogRetentionDays"), format!("{name} is kept for ever"));
    }
    let functions = FUNCTIONS.iter().map(|(function, ..)| function.replace("Function", "Logs"));
    for wanted in functions.chain(["AccessLogs".to_owned()]) {
        faults.unless(groups.iter().any(|(name, _)| *name == wanted), format!("there is no {wanted}"));
    }
}

fn parameters(stack: &Stack, faults: &mut Faults) {
    let parameters = &stack.main["Parameters"];
    let shown = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    for (name, default, least, most) in BOUNDS {
        let parameter = &parameters[name];
        let fits = shown(&parameter["Default"]) == default && parameter["MinValue"] == least && parameter["MaxValue"] == most;
        faults.unless(fits, format!("{name} is not {default}, from {least} to {most}"));
    }
    for (name, default) in DEFAULTS {
        let actual = shown(&parameters[name]["Default"]);
        faults.unless(actual == default, format!("{name} is {actual} by default, instead of {default}"));
    }
    let grouped = &stack.main["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"];
    let asked: Vec<&Value> =
        grouped.as_array().into_iter().flatten().filter_map(|group| group["Parameters"].as_array()).flatten().collect();
    for (name, parameter) in parameters.as_object().into_iter().flatten() {
        faults.unless(asked.contains(&&name.as_str().into()), format!("{name} is in no group"));
        faults.unless(parameter["Description"].is_string(), format!("{name} is not described"));
    }
}
