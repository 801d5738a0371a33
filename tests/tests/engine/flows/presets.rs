//! The examples of presets with steps: each request is a literal of the preset's data and of docs/presets.md, each response has the meaning
//! that the preset claims. The flow is run over the whole engine, with a clock moved by hand.

use jiff::{SignedDuration, Timestamp};
use tracking_core::{
    caller::Caller,
    json,
    json::Value,
    presets::{ExampleRequest, ExampleStep, Preset, PresetKind, all},
};
use tracking_engine::{DeliveryFilter, IncomingRequest};
use tracking_tests::world::{Arrival, Reply, World};

/// The value of every secret in the examples.
const SECRET: &str = "s3cr3t+1";
/// The token of a callback URL in the examples.
const TOKEN: &str = "TOKEN";
/// The delivery's id in the examples.
const DELIVERY_ID: &str = "dlv_01h455vb4pex";

fn preset(id: &str) -> &'static Preset {
    all().iter().find(|preset| preset.id == id).unwrap_or_else(|| panic!("there is no preset {id}"))
}

/// Returns the rule with every placeholder replaced by its example, and a value for each secret.
fn filled(preset: &Preset) -> Value {
    let mut rule = preset.tracking_api.clone();
    for blank in &preset.fill_in {
        let text = rule.pointer_mut(&blank.pointer).unwrap_or_else(|| panic!("{}: {}", preset.id, blank.pointer));
        *text = text.as_str().unwrap().replace(&blank.placeholder, &blank.example).into();
    }
    let values = preset.secrets.iter().map(|name| (name.clone(), SECRET.into()));
    rule["secret_values"] = Value::Object(values.collect());
    rule
}

/// Starts a machine with the preset's rule and posts the event of its example. It is Sunday, 15:03 in Prague.
async fn begun(preset: &Preset) -> World {
    let world = World::temporary();
    world.clock.until("2026-11-22T14:03:28Z".parse().unwrap());
    let mut rule = filled(preset);
    if let Some(master) = &preset.master {
        let mut master = filled(self::preset(master));
        master["active"] = false.into();
        let master = world.rule(&Caller::Admin, master).await;
        rule = json::parse(rule.to_string().replace("trk_master", master.as_str()).as_bytes()).unwrap();
    }
    world.rule(&Caller::Admin, rule).await;
    world.post(&[envelope(preset.example.event.clone())]).await.unwrap();
    world
}

fn envelope(detail: Value) -> Value {
    json!({"detail-type": "Conversion Changed", "detail": detail})
}

/// Returns the same event about another conversion.
fn another(preset: &Preset) -> Value {
    let mut detail = preset.example.event.clone();
    detail["change_id"] = "chg_other".into();
    detail["conversion"]["conversion_id"] = "cnv_other".into();
    detail["transactions"][0]["transaction_id"] = "trx_other".into();
    envelope(detail)
}

/// Returns a response of an example.
fn reply(step: &'static ExampleStep) -> Reply {
    let response = &step.response;
    let headers: Vec<_> = response.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
    Reply::Whole(response.status, headers.leak(), &response.body)
}

/// Returns a request as it arrived, in the examples' form: without the headers that every request carries.
fn request(arrival: &Arrival) -> ExampleRequest {
    let carried = |name: &str| name.starts_with("Tracking-") || name == "User-Agent";
    let token = token_of(arrival);
    let with_example_ids =
        |value: &str| value.replace(&arrival.delivery_id, DELIVERY_ID).replace(token.as_deref().unwrap_or(TOKEN), TOKEN);
    let headers = arrival.headers.iter().filter(|(name, _)| !carried(name));
    let headers = headers.map(|(name, value)| json!({"name": name, "value": with_example_ids(value)})).collect::<Vec<_>>();
    let body = arrival.body.as_deref().map(with_example_ids);
    let document = json!({"method": arrival.method, "url": arrival.url, "headers": headers, "body": body});
    serde_json::from_str(&document.to_string()).unwrap()
}

/// The token of the callback URL that a request gives away.
fn token_of(arrival: &Arrival) -> Option<String> {
    let (_, rest) = arrival.body.as_deref()?.split_once("/callbacks/")?;
    rest.split_once('"').map(|(token, _)| token.to_owned())
}

/// Sends the example's callbacks, those of its steps that listen, to the URL that was given away.
async fn call_back(world: &mut World, preset: &Preset) {
    let Some(token) = world.arrivals.last().and_then(token_of) else { return };
    for callback in preset.example.steps.iter().filter(|step| is_callback(step)) {
        let headers = callback.request.headers.iter().map(|header| (header.name.to_lowercase(), header.value.clone())).collect();
        let body = callback.request.body.clone().unwrap_or_default().into_bytes();
        let request = IncomingRequest { method: callback.request.method.clone(), query: String::new(), headers, body };
        assert_eq!(callback.response.status, 202, "{}", preset.id);
        world.call_back(&token, request).await.unwrap();
        world.pass(SignedDuration::from_mins(1), &mut |_| Reply::Silence).await;
    }
}

/// Returns true if a step of an example is a callback of the receiver.
fn is_callback(step: &ExampleStep) -> bool {
    step.request.url.ends_with(TOKEN)
}

/// Everything that was read, requests and callbacks, each as its step and its verdict.
async fn judged(world: &World) -> Vec<(String, String)> {
    let delivery = world.only_delivery().await;
    let all = ["log", "callbacks"].into_iter().flat_map(|key| delivery[key].as_array().unwrap().clone());
    all.map(|one| (one["step"].as_str().unwrap().to_owned(), one["verdict"].as_str().unwrap().to_owned())).collect()
}

/// The attempts of the log, oldest first.
async fn attempts(world: &World) -> Vec<Value> {
    world.only_delivery().await["log"].as_array().unwrap().clone()
}

/// Runs the example of a preset to its end; a request after its last one gets no response.
async fn played(preset: &'static Preset) -> World {
    let mut world = begun(preset).await;
    let steps = &preset.example.steps;
    let mut count = 0;
    let mut replies = |_: &Arrival| {
        count += 1;
        steps.get(count - 1).map_or(Reply::Silence, reply)
    };
    world.pass(SignedDuration::from_hours(72), &mut replies).await;
    call_back(&mut world, preset).await;
    world
}

#[tokio::test]
async fn every_preset_with_steps_sends_what_its_example_says() {
    let flows: Vec<&'static Preset> = all().iter().filter(|preset| preset.kind == PresetKind::Flow).collect();
    assert_eq!(flows.len(), 9);
    for preset in flows {
        let world = played(preset).await;
        let steps = &preset.example.steps;
        let sent: Vec<ExampleRequest> = world.arrivals.iter().map(request).collect();
        let requests = steps.iter().filter(|step| !is_callback(step)).map(|step| step.request.clone());
        assert_eq!(sent, requests.collect::<Vec<_>>(), "{}", preset.id);
        let expected: Vec<_> = steps.iter().map(|step| (step.step.clone(), step.means.as_str().to_owned())).collect();
        assert_eq!(judged(&world).await, expected, "{}", preset.id);
        assert_eq!(world.log(&DeliveryFilter::default()).await[0]["state"], "delivered", "{}", preset.id);
    }
}

/// Returns the number of requests that the step `login` sent.
fn logins(world: &World) -> usize {
    let is_login = |arrival: &&Arrival| arrival.headers.iter().any(|(name, value)| name == "Tracking-Step" && value == "login");
    world.arrivals.iter().filter(is_login).count()
}

/// Plays the first event with the last login and the last answer of the example. Returns the reply function too.
async fn begun_with_token(id: &str) -> (World, impl FnMut(&Arrival) -> Reply + use<>) {
    let preset = preset(id);
    let find = |login: bool| preset.example.steps.iter().rfind(|step| (step.step == "login") == login).unwrap();
    let (login, last) = (find(true), find(false));
    let mut replies = move |arrival: &Arrival| {
        let is_login = arrival.headers.iter().any(|(name, value)| name == "Tracking-Step" && value == "login");
        reply(if is_login { login } else { last })
    };
    let mut world = begun(preset).await;
    world.pass(SignedDuration::from_mins(1), &mut replies).await;
    assert_eq!((logins(&world), world.arrivals.len()), (1, 2), "{id}");
    (world, replies)
}

#[tokio::test]
async fn w5_what_a_preset_s_login_gave_serves_later_conversions_until_it_expires() {
    // The tokens of the first and the last are kept 59 minutes, that of the second 14, the third's cookie 20.
    for (id, minutes) in
        [("oauth2_client_credentials", 59), ("login_json", 14), ("login_form_cookie", 20), ("several_channels", 59)]
    {
        for (later, expected) in [(minutes - 2, 1), (minutes + 1, 2)] {
            let (mut world, mut replies) = begun_with_token(id).await;
            world.clock.pass(SignedDuration::from_mins(later));
            world.post(&[another(preset(id))]).await.unwrap();
            world.pass(SignedDuration::from_mins(1), &mut replies).await;
            assert_eq!(logins(&world), expected, "{id} after {later} minutes");
            let log = world.log(&DeliveryFilter::default()).await;
            assert!(log.iter().all(|delivery| delivery["state"] == "delivered"), "{log:?}");
        }
    }
}

#[tokio::test]
async fn w2_a_receiver_that_refuses_every_token_sees_five_of_them() {
    for id in ["oauth2_client_credentials", "login_json", "login_form_cookie"] {
        let preset = preset(id);
        let login = &preset.example.steps[0];
        let mut world = begun(preset).await;
        let mut replies =
            |arrival: &Arrival| if arrival.url == login.request.url { reply(login) } else { Reply::Body(401, "no") };
        world.pass(SignedDuration::from_hours(48), &mut replies).await;
        assert_eq!((logins(&world), world.arrivals.len()), (6, 11), "{id}");
        let log = world.log(&DeliveryFilter::default()).await;
        assert_eq!(log[0]["state"], "exhausted", "{log:?}");
        assert!(log[0]["reason"].as_str().unwrap().ends_with("it has run 5 times, as often as max_runs says"), "{log:?}");
    }
}

#[tokio::test]
async fn l2_a_token_that_lives_shorter_than_the_wait_is_fetched_for_every_query() {
    let mut world = begun(preset("login_json")).await;
    let login = &preset("login_json").example.steps[0];
    let pending = Reply::Body(200, r#"{"status": "open"}"#);
    let mut replies = |arrival: &Arrival| if arrival.url == login.request.url { reply(login) } else { pending };
    world.pass(SignedDuration::from_hours(40), &mut replies).await;
    assert_eq!((logins(&world), world.arrivals.len()), (31, 62));
    assert_eq!(world.log(&DeliveryFilter::default()).await[0]["state"], "unresolved");
}

/// Returns the waits between requests, in seconds.
fn waits(world: &World) -> Vec<i64> {
    world.arrivals.windows(2).map(|pair| pair[1].at.duration_since(pair[0].at).as_secs()).collect()
}

#[tokio::test]
async fn l2_the_poll_for_30_days_asks_31_times_with_growing_waits_in_more_than_30_days() {
    let mut world = begun(preset("poll_30_days")).await;
    for _ in 0..40 {
        world.pass(SignedDuration::from_hours(24), &mut |_| Reply::Body(200, r#"{"status": "new"}"#)).await;
    }
    // Twice as long each time up to a day, then a day and 9 hours; jitter moves the part of the schedule by a tenth.
    let mut expected = vec![900, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600, 86_400];
    expected.extend([86_400; 22]);
    let waits = waits(&world);
    assert_eq!((waits.len(), expected.len()), (30, 30));
    for (number, (wait, expected)) in waits.iter().zip(expected).enumerate() {
        let rest = if number < 8 { 0 } else { 32_400 };
        // A due row may be a minute or so late here.
        let (least, most) = (rest + expected * 9 / 10, rest + expected * 11 / 10 + 900);
        assert!((least..=most).contains(wait), "wait {number}: {wait} s, {least} to {most} expected");
    }
    let whole: i64 = waits.iter().sum();
    assert!((2_592_000..=3_300_000).contains(&whole), "{whole} s are {} days", whole / 86_400);
    let log = world.log(&DeliveryFilter::default()).await;
    assert_eq!(
        (log[0]["state"].as_str(), log[0]["reason"].as_str()),
        (Some("failed"), Some("step silent: no decision within 30 days"))
    );
}

#[tokio::test]
async fn w14_reports_go_out_within_office_hours_repeats_too() {
    let mut world = begun(preset("office_hours")).await;
    world.pass(SignedDuration::from_hours(24 * 5), &mut |_| Reply::Says(408, "later")).await;
    let opening: Timestamp = "2026-11-23T08:00:00Z".parse().unwrap();
    let (first, count) = (world.arrivals[0].at.duration_since(opening), world.arrivals.len());
    assert!((0..=300).contains(&first.as_secs()), "Monday 9:00 in Prague, spread over 5 minutes: {first}");
    assert_eq!(count, 17, "the first and 16 repeats");
    for arrival in &world.arrivals {
        let (hour, day) = {
            let local = arrival.at.in_tz("Europe/Prague").unwrap();
            (local.hour(), local.weekday().to_monday_one_offset())
        };
        assert!((9..17).contains(&hour) && day <= 5, "{}", arrival.at);
    }
    let log = world.log(&DeliveryFilter::default()).await;
    let reason = "step later: it has run 16 times, as often as max_runs says";
    assert_eq!((log[0]["state"].as_str(), log[0]["reason"].as_str()), (Some("exhausted"), Some(reason)));
}

#[tokio::test]
async fn w3_a_lead_is_created_once_however_often_the_machine_dies() {
    let preset = preset("create_and_poll");
    let mut world = begun(preset).await;
    let create = &preset.example.steps[0];
    let waiting = Reply::Body(200, r#"{"status": "waiting"}"#);
    for _ in 0..5 {
        let mut replies = |arrival: &Arrival| if arrival.method == "POST" { reply(create) } else { waiting };
        world.pass(SignedDuration::from_hours(6), &mut replies).await;
        world.restart();
    }
    assert_eq!(world.arrivals.iter().filter(|arrival| arrival.method == "POST").count(), 1);
    assert!(world.arrivals.len() > 6, "{}", world.arrivals.len());
}

#[tokio::test]
async fn q5_secrets_and_what_they_bought_are_in_no_log_of_a_preset() {
    for preset in all().iter().filter(|preset| preset.kind == PresetKind::Flow) {
        let world = played(preset).await;
        let log = json!(attempts(&world).await).to_string();
        let published = world.store().published(None, 100).unwrap();
        let events = published.iter().map(|event| format!("{:?}", event.detail)).collect::<Vec<_>>().concat();
        for secret in [SECRET, "2YotnFZFEjr1zCsicMWpAA", "SlAV32hkKGtFzFiCaNvQbw", "eyJhbGciOi", "8f3a1c", "77b0de"] {
            assert!(!log.contains(secret) && !events.contains(secret), "{}: {secret}", preset.id);
        }
    }
}
