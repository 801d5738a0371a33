//! Permissions: the roles, and the HTTP API's routes.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::stack::{
    faults::Faults,
    functions::FUNCTIONS,
    templates::{Stack, attribute, listed, reference},
};

/// A permission: the role, the resource as [`named`] names it, the actions.
type Grant = (&'static str, &'static str, &'static [&'static str]);

const LOG: &[&str] = &["logs:CreateLogStream", "logs:PutLogEvents"];
const ITEMS: &[&str] =
    &["dynamodb:BatchGetItem", "dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem", "dynamodb:Query"];
const WORK: &[&str] = &["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];
const SEND: &[&str] = &["sqs:SendMessage"];
const KEY: &[&str] = &["kms:Decrypt", "kms:GenerateDataKey"];

/// The source of all events that we publish (F14: and of no others).
const SOURCE: &str = "tracking-api";

/// All permissions of the roles.
pub(crate) const GRANTS: &[Grant] = &[
    ("IngestRole", "IngestLogs", LOG),
    ("IngestRole", "Table", &["dynamodb:BatchWriteItem"]),
    ("IngestRole", "EventsQueue", SEND),
    ("IngestRole", "RejectedQueue", SEND),
    ("IngestRole", "IngestFailures", SEND),
    ("MatcherRole", "MatcherLogs", LOG),
    ("MatcherRole", "Table", ITEMS),
    ("MatcherRole", "Table/index/trouble", &["dynamodb:Query"]),
    ("MatcherRole", "EventsQueue", WORK),
    ("MatcherRole", "DeliveryQueue", SEND),
    ("MatcherRole", "RetryQueue", SEND),
    ("MatcherRole", "EventsDeadLetters", SEND),
    ("MatcherRole", "RejectedQueue", SEND),
    ("DeliveryRole", "DeliveryLogs", LOG),
    ("DeliveryRole", "Table", ITEMS),
    ("DeliveryRole", "Table/index/trouble", &["dynamodb:Query"]),
    ("DeliveryRole", "DeliveryQueue", WORK),
    ("DeliveryRole", "RetryQueue", WORK),
    ("DeliveryRole", "DeliveryQueue", SEND),
    ("DeliveryRole", "RetryQueue", SEND),
    ("DeliveryRole", "DeliveryDeadLetters", SEND),
    ("DeliveryRole", "RetryDeadLetters", SEND),
    ("DeliveryRole", "event-bus/EventBusName", &["events:PutEvents"]),
    ("DeliveryRole", "DataKey", KEY),
    ("ApiRole", "ApiLogs", LOG),
    ("ApiRole", "Table", ITEMS),
    ("ApiRole", "Table/index/trouble", &["dynamodb:Query"]),
    ("ApiRole", "DeliveryQueue", SEND),
    ("ApiRole", "RetryQueue", SEND),
    ("ApiRole", "DataKey", KEY),
];

pub(crate) fn check(stack: &Stack, faults: &mut Faults) {
    roles(stack, faults);
    grants(stack, faults);
    wildcards(stack, faults);
    routes(stack, faults);
    authorizer(stack, faults);
    gateway(stack, faults);
}

/// Checks that every function has a role of its own, which no managed policy widens.
fn roles(stack: &Stack, faults: &mut Faults) {
    let there: BTreeSet<&str> = stack.of("AWS::IAM::Role").map(|(name, _)| name).collect();
    let wanted: BTreeSet<&str> = GRANTS.iter().map(|(role, ..)| *role).collect();
    faults.unless(there == wanted, format!("the roles are {there:?} instead of {wanted:?}"));
    for (name, role) in stack.of("AWS::IAM::Role") {
        let users = FUNCTIONS.iter().filter(|(function, ..)| stack.properties(function)["Role"] == attribute(name, "Arn"));
        let users = users.count();
        faults.unless(users == 1, format!("{name} is the role of {users} functions"));
        faults.unless(role.get("ManagedPolicyArns").is_none(), format!("{name} has policies that are not written here"));
        let trust = &role["AssumeRolePolicyDocument"]["Statement"];
        let lambda = json!([{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}]);
        faults.unless(*trust == lambda, format!("{name} can be taken by others than Lambda"));
    }
    for kind in ["AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::RolePolicy"] {
        for (name, _) in stack.of(kind) {
            faults.add(format!("{name} is a policy outside of the roles"));
        }
    }
}

fn grants(stack: &Stack, faults: &mut Faults) {
    let mut given: BTreeSet<(String, String, String)> = BTreeSet::new();
    for (role, properties) in stack.of("AWS::IAM::Role") {
        let statements = listed(&properties["Policies"]).iter().flat_map(|policy| listed(&policy["PolicyDocument"]["Statement"]));
        for statement in statements {
            faults.unless(statement["Effect"] == "Allow", format!("{role} has a statement that does not allow"));
            let publishes = strings(&statement["Action"]).contains(&"events:PutEvents");
            let wanted = if publishes { json!({"StringEquals": {"events:source": SOURCE}}) } else { Value::Null };
            let condition = &statement["Condition"];
            faults.unless(*condition == wanted, format!("{role}: {} if {condition} instead of {wanted}", statement["Action"]));
            for resource in listed(&statement["Resource"]) {
                let actions = listed(&statement["Action"]).iter().filter_map(Value::as_str);
                given.extend(actions.map(|action| (role.to_owned(), named(resource), action.to_owned())));
            }
        }
    }
    let wanted: BTreeSet<(String, String, String)> = GRANTS
        .iter()
        .flat_map(|(role, resource, actions)| {
            actions.iter().map(|action| ((*role).to_owned(), (*resource).to_owned(), (*action).to_owned()))
        })
        .collect();
    for (role, resource, action) in wanted.difference(&given) {
        faults.add(format!("{role} lacks {action} on {resource}"));
    }
    for (role, resource, action) in given.difference(&wanted) {
        faults.add(format!("{role} may {action} on {resource}, which it does not need"));
    }
}

/// Returns the short name of a policy's resource: its name in the template, and the part behind it.
fn named(resource: &Value) -> String {
    if let [name, kind] = listed(&resource["Fn::GetAtt"])
        && kind == "Arn"
    {
        return name.as_str().unwrap_or_default().to_owned();
    }
    let bus = "arn:${AWS::Partition}:events:${AWS::Region}:${AWS::AccountId}:event-bus/${EventBusName}";
    match resource["Fn::Sub"].as_str() {
        Some(text) if text == bus => "event-bus/EventBusName".to_owned(),
        Some("${Table.Arn}/index/trouble") => "Table/index/trouble".to_owned(),
        _ => resource.to_string(),
    }
}

/// Checks that no policy allows everything, or everybody.
fn wildcards(stack: &Stack, faults: &mut Faults) {
    for (name, resource) in stack.main["Resources"].as_object().into_iter().flatten() {
        let key_policy = resource["Type"] == "AWS::KMS::Key";
        for statement in statements(&resource["Properties"]) {
            let texts = |field: &str| strings(&statement[field]);
            for action in texts("Action").iter().filter(|action| action.contains('*')) {
                faults.add(format!("{name} allows {action}"));
            }
            for principal in texts("Principal").iter().filter(|principal| principal.contains('*')) {
                faults.add(format!("{name} lets {principal} in"));
            }
            // In a key's own policy "*" is that key.
            for all in texts("Resource").iter().filter(|all| all.contains('*') && !(key_policy && **all == "*")) {
                faults.add(format!("{name} allows something on {all}"));
            }
            for field in ["NotAction", "NotResource", "NotPrincipal"] {
                faults.unless(statement.get(field).is_none(), format!("{name} says {field}"));
            }
        }
    }
}

/// Returns the statements of all policies below a value.
fn statements(value: &Value) -> Vec<&Value> {
    match value {
        Value::Object(fields) => {
            let here = fields.get("Statement").into_iter().flat_map(listed);
            here.chain(fields.values().flat_map(statements)).collect()
        }
        Value::Array(values) => values.iter().flat_map(statements).collect(),
        _ => Vec::new(),
    }
}

/// Returns all texts below a value.
fn strings(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(values) => values.iter().flat_map(strings).collect(),
        Value::Object(fields) => fields.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// The routes without a token: liveness, the console's files, and the requests of receivers.
const OPEN: [&str; 6] = [
    "GET /healthz",
    "GET /console",
    "GET /console/{proxy+}",
    "GET /callbacks/{token}",
    "POST /callbacks/{token}",
    "POST /webhooks/{webhook_id}",
];
/// The open routes that write, each with its name in the template.
const OF_RECEIVERS: [(&str, &str); 3] = [
    ("CallbackLinkRoute", "GET /callbacks/{token}"),
    ("CallbackRoute", "POST /callbacks/{token}"),
    ("WebhookRoute", "POST /webhooks/{webhook_id}"),
];

/// Checks that every route but the open ones needs a token, and that every path has a route.
fn routes(stack: &Stack, faults: &mut Faults) {
    let mut keys = BTreeSet::new();
    for (name, route) in stack.of("AWS::ApiGatewayV2::Route") {
        let key = route["RouteKey"].as_str().unwrap_or_default();
        keys.insert(key);
        faults.unless(route["ApiId"] == reference("HttpApi"), format!("{name} belongs to another API"));
        let target = json!({"Fn::Sub": "integrations/${Integration}"});
        faults.unless(route["Target"] == target, format!("{name} leads to {}", route["Target"]));
        if OPEN.contains(&key) {
            faults.unless(route["AuthorizationType"] == "NONE", format!("{name} asks for a token"));
        } else {
            let guarded = route["AuthorizationType"] == "JWT" && route["AuthorizerId"] == reference("Authorizer");
            faults.unless(guarded, format!("{name} ({key}) asks for no token"));
        }
    }
    let wanted: BTreeSet<&str> = ["ANY /", "ANY /{proxy+}"].into_iter().chain(OPEN).collect();
    faults.unless(keys == wanted, format!("the routes are {keys:?} instead of {wanted:?}"));
}

fn authorizer(stack: &Stack, faults: &mut Faults) {
    let wanted = json!({
        "ApiId": reference("HttpApi"),
        "Name": "jwt",
        "AuthorizerType": "JWT",
        "IdentitySource": ["$request.header.Authorization"],
        "JwtConfiguration": {"Issuer": reference("JwtIssuer"), "Audience": [reference("JwtAudience")]},
    });
    let authorizers: Vec<_> = stack.of("AWS::ApiGatewayV2::Authorizer").collect();
    faults.unless(authorizers == [("Authorizer", &wanted)], format!("tokens are checked by {authorizers:?}"));
    for parameter in ["JwtIssuer", "JwtAudience"] {
        let needed =
            stack.main["Parameters"][parameter].as_object().is_some_and(|definition| !definition.contains_key("Default"));
        faults.unless(needed, format!("{parameter} has a default: tokens of whom?"));
    }
}

fn gateway(stack: &Stack, faults: &mut Faults) {
    let api = stack.properties("HttpApi");
    faults.unless(api["ProtocolType"] == "HTTP" && api.get("CorsConfiguration").is_none(), "the API is open to browsers' pages");
    let integration = stack.properties("Integration");
    faults.unless(integration["IntegrationUri"] == attribute("ApiFunction", "Arn"), "the API leads to another function");
    faults.unless(integration["PayloadFormatVersion"] == "2.0", "the function reads another format than API Gateway sends");
    let stage = stack.properties("ApiStage");
    faults.unless(stage["StageName"] == "$default" && stage["AutoDeploy"] == true, "the stage is not the API's root");
    let limits = &stage["DefaultRouteSettings"];
    for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
        faults.unless(limits[limit].as_u64().is_some_and(|limit| limit > 0), format!("the API has no {limit}"));
    }
    let of_all = limits["ThrottlingRateLimit"].as_u64().unwrap_or_default();
    for (name, route) in OF_RECEIVERS {
        let own = stage["RouteSettings"][route]["ThrottlingRateLimit"].as_u64();
        faults.unless(own.is_some_and(|own| own > 0 && own <= of_all / 2), format!("{route} leaves no room for others: {own:?}"));
        let depends =
            stack.main["Resources"]["ApiStage"]["DependsOn"].as_array().is_some_and(|on| on.iter().any(|on| on == name));
        faults.unless(depends, format!("the stage may be made before {name}, which its settings name"));
    }
    let log = &stage["AccessLogSettings"];
    faults.unless(log["DestinationArn"] == attribute("AccessLogs", "Arn"), "accesses are not logged");
    let format = log["Format"].as_str().unwrap_or_default();
    faults.unless(serde_json::from_str::<Value>(format).is_ok_and(|line| line.is_object()), "the access log is no JSON");
    for secret in ["queryString", "$context.authorizer.claims", "authorization", "$context.path"] {
        faults.unless(!format.contains(secret), format!("the access log has {secret}"));
    }
    let allowed = stack.of("AWS::Lambda::Permission").any(|(_, permission)| {
        let source = permission["SourceArn"]["Fn::Sub"].as_str().unwrap_or_default();
        permission["FunctionName"] == reference("ApiFunction")
            && permission["Principal"] == "apigateway.amazonaws.com"
            && source == "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${HttpApi}/*"
    });
    faults.unless(allowed, "API Gateway may not invoke the API's function");
}
