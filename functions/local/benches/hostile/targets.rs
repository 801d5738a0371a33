//! The attacker's rules with their receivers, and the rules that it saves over and over.

use serde_json::{Value, json};

use crate::{
    receivers::{Habit, bomb, start},
    server::{Server, client},
};

/// The rules of the attacker, all of one affiliate.
pub(crate) struct Targets {
    /// A plain rule with a healthy receiver.
    pub(crate) plain: String,
    /// The rule with the costly secret.
    pub(crate) secret: String,
    /// The id of the webhook of a rule whose deliveries all wait for the same value.
    pub(crate) webhook: String,
    /// The rule that is changed again and again.
    pub(crate) changed: String,
    pub(crate) healthy: String,
    pub(crate) tarpit: String,
}

/// Makes the rules; the rules of an attack fire on the offer of its name.
pub(crate) async fn prepare(server: &Server, token: &str) -> Targets {
    allow_rules(server).await;
    let healthy = start(Habit::body("", b"ok")).await;
    let tarpit = start(Habit::Hang).await;
    for _ in 0..20 {
        server.rule(token, &rule("tarpit", &json!({"url": start(Habit::Hang).await}))).await;
    }
    for _ in 0..5 {
        server.rule(token, &costly(&healthy)).await;
    }
    for habit in [
        Habit::body("", &vec![b'a'; 10_000_000]),
        Habit::body("Content-Encoding: gzip\r\nContent-Type: application/json\r\n", &bomb(1_000)),
        Habit::Headers,
    ] {
        server.rule(token, &rule("answers", &json!({"url": start(habit).await}))).await;
    }
    for _ in 0..4 {
        server.rule(token, &rule("drips", &json!({"url": start(Habit::Drip).await}))).await;
        server.rule(token, &rule("hints", &json!({"url": start(Habit::Hints).await}))).await;
    }
    let broken = start(Habit::refusal()).await;
    for _ in 0..10 {
        let mut asks_again = rule("waits", &json!({"url": broken}));
        asks_again["retry"]["max_retries"] = json!(30);
        server.rule(token, &asks_again).await;
        server.rule(token, &waiting(&healthy)).await;
    }
    let echo = start(Habit::body("", &vec![b'a'; 64 * 1024])).await;
    let request = json!({"url": format!("{healthy}/{{conversion_id}}?q={{query.k1}}")});
    Targets {
        plain: server.rule(token, &rule("keys", &request)).await,
        secret: server.rule(token, &secret(&echo)).await,
        webhook: webhook_of(server, token, &server.rule(token, &listening(&healthy)).await).await,
        changed: server.rule(token, &rule("none", &json!({"url": healthy}))).await,
        healthy,
        tarpit,
    }
}

/// Returns the largest rules that are accepted and the smallest that are refused.
pub(crate) fn edges() -> Vec<Value> {
    let with = |pattern: &str, count: usize| {
        let value = format!("{{query.x|regex:/{pattern}/x/}}");
        let fields: Vec<Value> = (0..count).map(|i| json!({"path": format!("f{i}"), "value": value})).collect();
        let body = json!({"format": "json", "fields": fields});
        json!({"name": "edge", "request": {"method": "POST", "url": "https://a.example/", "body": body}})
    };
    vec![
        with("a{2041}", 1),
        with("a{2042}", 1),
        with("\\w", 4),
        with("\\w", 5),
        with("[a-z]{1,60}", 20),
        with("[a-z]{1,60}", 21),
        with(&"a".repeat(512), 1),
        with("\\pL{21}", 20),
    ]
}

/// Returns a rule of the attacker that fires on this offer.
fn rule(offer: &str, request: &Value) -> Value {
    json!({"name": offer, "conditions": {"included_offers": [offer]}, "request": request,
        "retry": {"max_retries": 2, "delay_seconds": 1, "backoff": "fixed"}})
}

/// Returns a rule whose texts cost as much as allowed, and fail only when all steps are spent.
fn costly(url: &str) -> Value {
    let text =
        format!("{{query.none|default:A{}|regex:/.*[^A-Z]|[A-Z]/x/|sha256}}", format!("|replace:A,{}", "A".repeat(16)).repeat(3));
    let fields: Vec<Value> = (0..20).map(|i| json!({"path": format!("f{i}"), "value": text})).collect();
    rule("f3", &json!({"method": "POST", "url": url, "body": {"format": "json", "fields": fields}}))
}

/// Returns a flow that waits for a second, twenty-eight times, and then goes round.
fn waiting(url: &str) -> Value {
    let mut steps: Vec<Value> =
        (0..28).map(|i| json!({"name": format!("w{i}"), "max_runs": 31, "wait": {"seconds": 1}})).collect();
    let never = json!({"source": "macro", "key": "conversion_id", "operator": "equals", "value": "none"});
    steps.push(json!({"name": "back", "max_runs": 31, "switch": [{"when": [never], "go": "send"}], "go": "w0"}));
    steps.push(json!({"name": "send", "call": {"url": url}}));
    json!({"name": "waits", "conditions": {"included_offers": ["waits"]}, "steps": steps})
}

/// Returns a flow that sends a request, and then waits for a webhook that never decides.
fn listening(url: &str) -> Value {
    let last = json!({"source": "body", "key": "last", "operator": "equals", "value": "yes"});
    let answer = json!({"otherwise": "pending", "rules": [{"when": [last], "then": "delivered"}]});
    let matched = json!({"waiting": "{external_id}", "incoming": "{body.ref}"});
    json!({"name": "hooks", "conditions": {"included_offers": ["hooks"]},
        "steps": [{"name": "send", "call": {"url": url}}, {"name": "listen", "listen": {"match": matched, "answer": answer}}]})
}

/// Reads the id of a rule's webhook.
async fn webhook_of(server: &Server, token: &str, rule: &str) -> String {
    let call = client().get(format!("{}/tracking-apis/{rule}", server.url)).bearer_auth(token);
    let text = call.send().await.expect("the server answers").text().await.expect("the answer is whole");
    let view: Value = serde_json::from_str(&text).expect("JSON");
    view["webhook_id"].as_str().unwrap_or_else(|| panic!("a rule that listens has a webhook: {text}")).to_owned()
}

/// Returns a flow of two costly requests that go round, each as often as allowed.
pub(crate) fn costly_loop() -> Value {
    let text = format!("{{query.none|default:A{}|sha512|map:*=}}", format!("|replace:A,{}", "A".repeat(16)).repeat(4));
    let fields: Vec<Value> = (0..30).map(|i| json!({"path": format!("f{i}"), "value": text})).collect();
    let call = json!({"url": "https://a.example/", "method": "POST", "body": {"format": "form", "fields": fields}});
    json!({"name": "loop", "steps": [
        {"name": "first", "max_runs": 31, "call": call},
        {"name": "second", "max_runs": 31, "call": call, "go": "first"}]})
}

/// Returns a rule whose secret is searched for in an answer that nearly contains it everywhere.
fn secret(url: &str) -> Value {
    let header = |i| json!({"name": format!("X-{i}"), "value": "{secret.t}{secret.t}{secret.t}"});
    let mut rule = rule("f4", &json!({"url": url, "headers": (0..10).map(header).collect::<Vec<_>>()}));
    rule["secret_values"] = json!({"t": format!("{}b", "a".repeat(4_095))});
    rule
}

/// Raises the attacker's quota of rules to the number of attacks.
async fn allow_rules(server: &Server) {
    let call = client().put(format!("{}/affiliates/aff_a/quota", server.url)).bearer_auth(&server.admin);
    let answer = call.json(&json!({"rules": 100})).send().await.expect("the server answers");
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap_or_default());
}
