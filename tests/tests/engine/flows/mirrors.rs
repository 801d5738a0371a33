//! Mirrors of other rules' steps (W19).

use tracking_core::id::Id;
use tracking_engine::rules::{New, Refused};

use super::*;

/// Returns a rule with a login that fires on no event: others mirror it.
fn master(path: &str) -> Value {
    let login = json!({"name": "login", "call": {"method": "POST", "url": url(path),
        "body": {"format": "json", "fields": [{"path": "user", "value": "{var.user}"}, {"path": "key", "value": "{secret.key}"}]}},
        "answer": {"rules": [{"when": [{"source": "http_code", "operator": "equals", "value": "200"}], "then": "delivered",
            "set": {"variables": {"token": "T-{body.token}"}}}]},
        "retry": {"max_retries": 1, "delay_seconds": 60, "backoff": "fixed"}});
    let mut rule = flow(json!([login, call("ask", "master?t={var.token}")]));
    rule["conditions"] = json!({"channel": ["chn_none"]});
    rule["variables"] = json!({"user": "master"});
    rule["secret_values"] = json!({"key": "k-master"});
    rule
}

fn mirroring(master: &Id, user: &str) -> Value {
    let mirror = json!({"name": "login", "mirror": {"tracking_api_id": master, "step": "login"}});
    let mut rule = flow(json!([mirror, call("report", "report?t={var.token}")]));
    rule["variables"] = json!({"user": user});
    rule["secret_values"] = json!({"key": format!("k-{user}")});
    rule
}

/// Starts a machine with a master and a rule that mirrors it.
async fn pair() -> (World, Id, Id) {
    let world = World::temporary();
    let master = world.rule(&Caller::Admin, master("login")).await;
    let mirror = world.rule(&Caller::Admin, mirroring(&master, "cz")).await;
    (world, master, mirror)
}

async fn patch(world: &World, id: &Id, patch: Value) -> Result<Value, Refused> {
    world.engine().writer().patch_rule(&Caller::Admin, id, &patch, None).await.map(|view| view.resource)
}

const TOKEN: Reply = Reply::Body(200, r#"{"token": 7}"#);

#[tokio::test]
async fn w19_a_mirror_sends_the_masters_request_with_its_own_secrets_and_variables() {
    let (mut world, master, mirror) = pair().await;
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world.work_all(&mut |_| TOKEN).await;
    assert_eq!(paths(&world.arrivals), ["login", "report?t=T-7"]);
    assert_eq!(world.arrivals[0].body.as_deref(), Some(r#"{"user":"cz","key":"k-cz"}"#));
    let written = world.engine().rules().rule(&Caller::Admin, &mirror).await.unwrap().resource;
    let step = json!({"name": "login", "mirror": {"tracking_api_id": master, "step": "login"}});
    assert_eq!(written["steps"][0], step, "it is shown as it was written");
    assert_eq!(written["secrets"], json!(["key"]));
}

#[tokio::test]
async fn w19_a_change_of_the_master_counts_for_what_is_sent_next() {
    let (mut world, master, mirror) = pair().await;
    let mut changed = self::master("v2/login");
    changed["steps"][0]["call"]["query"] = json!([{"name": "new", "value": "{conversion_id}"}]);
    patch(&world, &master, json!({"steps": changed["steps"]})).await.unwrap();
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world.work_all(&mut |_| TOKEN).await;
    assert_eq!(paths(&world.arrivals), ["v2/login?new=cnv_1", "report?t=T-7"]);
    assert_eq!(world.arrivals[0].body.as_deref(), Some(r#"{"user":"cz","key":"k-cz"}"#), "the same party changed it");
    let view = world.engine().rules().rule(&Caller::Admin, &mirror).await.unwrap();
    assert_eq!(view.version, 2, "the mirror is written again");
    // A change of the master that touches no step leaves its mirrors unchanged.
    patch(&world, &master, json!({"active": false})).await.unwrap();
    world.post(&[sale("chg_2", 2)]).await.unwrap();
    world.work_all(&mut |_| TOKEN).await;
    assert_eq!(world.arrivals.len(), 4);
}

#[tokio::test]
async fn w19_another_partys_change_of_the_master_takes_the_secrets_of_its_mirrors_away() {
    let world = World::temporary();
    let affiliate = Caller::Affiliate("aff_7".parse().unwrap());
    let mut rule = master("login");
    rule["conditions"] = json!({});
    let master = world.rule(&affiliate, rule).await;
    let mirror = world.rule(&affiliate, mirroring(&master, "own")).await;
    let steps = self::master("elsewhere")["steps"].clone();
    patch(&world, &master, json!({"steps": steps})).await.unwrap();
    let view = world.engine().rules().rule(&affiliate, &mirror).await.unwrap().resource;
    assert_eq!(view["secrets"], json!([]), "{view}");
}

#[tokio::test]
async fn w19_what_is_missing_is_refused_when_either_is_saved() {
    let (world, master, mirror) = pair().await;
    let made = async |document: Value| {
        let made = world.engine().writer().create_rule(&Caller::Admin, &document, New::Random([1; 16])).await;
        made.map(drop).unwrap_err().to_string()
    };
    let none = flow(json!([{"name": "login", "mirror": {"tracking_api_id": master, "step": "none"}}]));
    assert!(made(none).await.contains("/steps/0/mirror: no Tracking API of the same owner has this step"), "no such step");
    let unknown = flow(json!([{"name": "login", "mirror": {"tracking_api_id": "trk_none", "step": "login"}}]));
    assert!(made(unknown).await.contains("/steps/0/mirror: no Tracking API of the same owner"), "no such rule");
    let of_mirror = flow(json!([{"name": "login", "mirror": {"tracking_api_id": mirror, "step": "login"}}]));
    assert!(made(of_mirror).await.contains("/steps/0/mirror: no Tracking API of the same owner"), "never of a mirror");
    let both =
        flow(json!([{"name": "login", "mirror": {"tracking_api_id": master, "step": "login"}, "retry": {"max_retries": 1}}]));
    assert!(made(both).await.contains("/steps/0/retry: it comes from the step that is mirrored"), "its own retry");
    // The master must not go to a step that the mirror lacks.
    let mut steps = self::master("login")["steps"].clone();
    steps[0]["answer"]["rules"][0]["go"] = json!("ask");
    let refused = patch(&world, &master, json!({"steps": steps})).await.unwrap_err().to_string();
    assert!(refused.contains(&format!("with this change {mirror} would be wrong, which mirrors it")), "{refused}");
    assert!(refused.contains("unknown step \"ask\""), "{refused}");
    assert_eq!(world.engine().rules().rule(&Caller::Admin, &master).await.unwrap().version, 1);
    // Nor may it read a variable to which the mirror gives no value.
    let mut without = mirroring(&master, "cz");
    without["variables"] = json!({});
    let missing = "the step that is mirrored reads {var.user}: write it under variables, or set it in a step";
    assert!(made(without).await.contains(&format!("/steps/0/mirror: {missing}")), "no value");
    let mut changed = self::master("login");
    changed["variables"]["account"] = json!("7");
    changed["steps"][0]["call"]["url"] = json!(url("login?a={var.account}"));
    let change = json!({"steps": changed["steps"], "variables": changed["variables"]});
    let refused = patch(&world, &master, change).await.unwrap_err().to_string();
    assert!(
        refused.contains(&format!("with this change {mirror} would be wrong")) && refused.contains("{var.account}"),
        "{refused}"
    );
    changed["steps"][0]["call"]["url"] = json!(url("login?a={var.account|default:1}"));
    let minded = json!({"steps": changed["steps"], "variables": changed["variables"]});
    patch(&world, &master, minded).await.unwrap();
    // Another owner's rule is none that could be mirrored.
    let affiliate = Caller::Affiliate("aff_7".parse().unwrap());
    let foreign = mirroring(&master, "aff");
    let refused = world.engine().writer().create_rule(&affiliate, &foreign, New::Random([2; 16])).await.unwrap_err().to_string();
    assert!(refused.contains("/steps/0/mirror: no Tracking API of the same owner"), "{refused}");
}

#[tokio::test]
async fn w19_a_mirrored_rule_or_step_is_not_deleted() {
    let (world, master, mirror) = pair().await;
    let conflict = Refused::Conflict(format!("a step of this Tracking API is mirrored by {mirror}: change those first"));
    let delete = async |id: &Id| world.engine().writer().delete_rule(&Caller::Admin, id, None).await;
    assert_eq!(delete(&master).await, Err(conflict.clone()));
    let renamed = json!({"steps": [{"name": "other", "call": {"url": url("x")}}]});
    assert_eq!(patch(&world, &master, renamed).await, Err(conflict));
    delete(&mirror).await.unwrap();
    delete(&master).await.unwrap();
}

#[tokio::test]
async fn w19_the_one_request_of_a_rule_can_be_mirrored_and_at_most_fifty_do() {
    let mut world = World::temporary();
    let mut short =
        json!({"name": "one", "request": {"url": url("one?c={conversion_id}")}, "conditions": {"channel": ["chn_none"]}});
    short["retry"] = json!({"max_retries": 0});
    let master = world.rule(&Caller::Admin, short).await;
    let document = |number: usize| {
        json!({"name": format!("copy {number}"), "conditions": {"channel": [if number == 0 { "chn_1" } else { "chn_none" }]},
            "steps": [{"name": "send", "mirror": {"tracking_api_id": master}}]})
    };
    for number in 0..50 {
        world.rule(&Caller::Admin, document(number)).await;
    }
    let refused = world.engine().writer().create_rule(&Caller::Admin, &document(50), New::Random([3; 16])).await;
    assert!(refused.unwrap_err().to_string().contains("is mirrored by 50 Tracking APIs, which is the most"));
    world.post(&[sale("chg_1", 1)]).await.unwrap();
    world.work_all(&mut |_| OK).await;
    assert_eq!(paths(&world.arrivals), ["one?c=cnv_1"]);
}
