use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::{
    answer::{Response, Verdict},
    caller::Owner,
    change::Change,
    event::Event,
    flow::{Masters, Mirror},
    json,
    json::Value,
    template::{At, Scope, Steps},
    tracking_api::{RuleDefinition, Settings},
};

mod ad_platforms;
mod trackers;

/// A sale as the platform publishes it: approved after it was pending.
fn sale() -> Value {
    json!({
        "change_id": "chg_550231", "occurred_at": "2026-11-22T14:03:27.482Z",
        "conversion": {
            "conversion_id": "cnv_84213", "version": 4, "change": "created", "type": "sale", "source": "link",
            "affiliate_id": "aff_7", "advertiser_id": "adv_31", "advertiser_name": "Obuv s.r.o.", "offer_id": "off_12",
            "offer_name": "Boty CZ", "country": "CZ", "pcid": "pc-9f1c", "external_id": "2026-11/4471",
            "affiliate_click_id": "wNq7+8/3=kk", "affs": {"affs1": "black friday"}, "value": "1249.90", "currency": "CZK",
            "voucher": "WINTER10",
            "query_params": {"email": " Jana.Novakova@Example.COM ", "ttclid": "E.C.P.CvAB-7"},
            "cookie_params": {"fbp": "fb.1.1763800000000.1098115397", "fbc": "fb.1.1763800000000.IwAR0x",
                "_ga": "GA1.1.1234567890.1763800001", "_ttp": "2F7h37YkS1j57AYSKTI7IHhJPYH"},
            "ip": "89.24.1.7", "user_agent": "Mozilla/5.0 (iPhone)"
        },
        "transactions": [{"transaction_id": "trx_9001", "change": "updated", "result": "approved", "previous_result": "pending",
            "payout": "62.50", "currency": "EUR"}]
    })
}

/// The sale with an edit.
fn sale_but(edit: impl FnOnce(&mut Value)) -> Value {
    let mut detail = sale();
    edit(&mut detail);
    detail
}

fn preset(id: &str) -> &'static Preset {
    all().iter().find(|preset| preset.id == id).unwrap_or_else(|| panic!("there is no preset {id}"))
}

/// The rule with every placeholder replaced by its example.
fn filled(preset: &Preset) -> Value {
    let mut rule = preset.tracking_api.clone();
    for fill_in in &preset.fill_in {
        let text = rule.pointer_mut(&fill_in.pointer).unwrap_or_else(|| panic!("{}: {}", preset.id, fill_in.pointer));
        let with_placeholder = text.as_str().unwrap().to_owned();
        assert_eq!(with_placeholder.matches(&fill_in.placeholder).count(), 1, "{}: {}", preset.id, fill_in.pointer);
        *text = with_placeholder.replace(&fill_in.placeholder, &fill_in.example).into();
    }
    rule
}

fn affiliate() -> Owner {
    Owner::Affiliate { affiliate_id: "aff_7".parse().unwrap() }
}

/// The parties that may use a preset.
fn owners(preset: &Preset) -> Vec<Owner> {
    if preset.admins_only { vec![Owner::Admin] } else { vec![Owner::Admin, affiliate()] }
}

/// The presets without steps.
fn receivers() -> impl Iterator<Item = &'static Preset> {
    all().iter().filter(|preset| preset.kind != PresetKind::Flow)
}

/// The presets with steps.
fn flows() -> impl Iterator<Item = &'static Preset> {
    all().iter().filter(|preset| preset.kind == PresetKind::Flow)
}

/// The steps that a filled in rule mirrors, of its preset's master.
fn masters(rule: &Value) -> Masters {
    let mut masters = Masters::default();
    for mirror in Mirror::of_document(rule).into_iter().filter(|mirror| mirror.tracking_api_id.as_str() == "trk_master") {
        let taken = mirror.take(&filled(preset("oauth2_client_credentials"))).expect("the master has the step");
        masters.insert(mirror, taken);
    }
    masters
}

fn parsed(rule: &Value, owner: &Owner) -> RuleDefinition {
    let settings = Settings { has_public_url: true, ..Settings::default() };
    RuleDefinition::parse_with(rule, owner, &settings, &masters(rule)).unwrap_or_else(|faults| panic!("{rule}: {faults}"))
}

/// An affiliate's rule and the event of a change on which it fires, with a scope around.
fn in_scope<T>(id: &str, detail: &Value, with: impl FnOnce(&RuleDefinition, &Scope<'_>) -> T) -> T {
    let preset = preset(id);
    let rule = parsed(&filled(preset), &affiliate());
    let change = Change::parse_detail(detail, "").unwrap();
    let fits = |event: &Event| rule.trigger.fires_on(event.kind) && rule.conditions.fits(event, &change.transactions);
    let event = change.events().into_iter().find(fits).unwrap_or_else(|| panic!("{id} does not fire"));
    let secrets: BTreeMap<String, String> = preset.secrets.iter().map(|name| (name.clone(), "s3cr3t+1".to_owned())).collect();
    with(
        &rule,
        &Scope {
            event: &event,
            delivery_id: "dlv_01h455vb4pex",
            tracking_api_id: "trk_1",
            attempt: 1,
            at: At::default(),
            is_test: false,
            masks: false,
            now: "2026-11-22T14:03:28Z".parse().unwrap(),
            secrets: &secrets,
            variables: &BTreeMap::new(),
            answer: None,
            bound: None,
            steps: Steps::default(),
        },
    )
}

/// The request for a change, without the two headers that every request carries: method and URL, headers, body.
fn sent(id: &str, detail: &Value) -> String {
    let rendered = in_scope(id, detail, |rule, scope| rule.plan.first_call().request.render(scope)).unwrap();
    let mut lines = vec![format!("{} {}", rendered.method, rendered.url)];
    lines.extend(rendered.headers.iter().skip(2).map(|(name, value)| format!("{name}: {value}")));
    lines.extend(rendered.body.map(|body| String::from_utf8(body).unwrap()));
    lines.join("\n")
}

#[track_caller]
fn check(id: &str, detail: &Value, expected: &[&str]) {
    assert_eq!(sent(id, detail), expected.join("\n"), "{id}");
}

/// Checks the verdict of a preset's rule on a response.
#[track_caller]
fn check_answer(id: &str, status: u16, body: &str, expected: Verdict) {
    let answer = Response::new(status, Vec::new(), body.as_bytes().to_vec());
    let verdict =
        in_scope(id, &sale(), |rule, scope| rule.plan.first_call().answer.judge(&answer, "https://a.example/", scope).verdict);
    assert_eq!(verdict, expected, "{id}: {status} {body}");
}

#[test]
fn the_list_of_presets_and_their_kinds() {
    let ids: Vec<(&str, PresetKind)> = all().iter().map(|preset| (preset.id.as_str(), preset.kind)).collect();
    let trackers = [
        "voluum",
        "keitaro",
        "redtrack",
        "binom",
        "bemob",
        "everflow",
        "affise",
        "tune",
        "cake",
        "scaleo",
        "trackier",
        "post_affiliate_pro",
    ];
    let expected = trackers.map(|id| (id, PresetKind::Tracker)).into_iter();
    let expected = expected.chain(["ga4", "meta", "tiktok"].map(|id| (id, PresetKind::AdPlatform)));
    let flows = [
        "oauth2_client_credentials",
        "login_json",
        "login_form_cookie",
        "create_and_poll",
        "create_and_callback",
        "poll_30_days",
        "office_hours",
        "sign_several_values",
        "several_channels",
    ];
    let expected = expected.chain(flows.map(|id| (id, PresetKind::Flow)));
    assert_eq!(ids, expected.collect::<Vec<_>>());
}

#[test]
fn a3_presets_that_set_results_are_for_admins_only() {
    let refused = |preset: &&Preset| RuleDefinition::parse(&preset.tracking_api, &affiliate(), &Settings::default()).is_err();
    let ids = |presets: Vec<&'static Preset>| presets.into_iter().map(|preset| preset.id.as_str()).collect::<Vec<_>>();
    let expected = ["login_json", "create_and_poll", "create_and_callback", "poll_30_days"];
    assert_eq!(ids(all().iter().filter(refused).collect()), expected);
    assert_eq!(ids(all().iter().filter(|preset| preset.admins_only).collect()), expected);
}

#[test]
fn every_preset_is_a_valid_rule_for_each_owner_that_may_use_it() {
    for preset in all() {
        for owner in owners(preset) {
            parsed(&preset.tracking_api, &owner);
            let rule = parsed(&filled(preset), &owner);
            assert_eq!(rule.secret_names().into_iter().collect::<Vec<_>>(), preset.secrets, "{}", preset.id);
            assert!(rule.active && rule.name == preset.name, "{}", preset.id);
            assert_eq!(rule.plan.has_steps(), preset.kind == PresetKind::Flow, "{}", preset.id);
        }
        assert!(preset.master.as_deref().is_none_or(|master| master == "oauth2_client_credentials"), "{}", preset.id);
        let https = preset.documentation.starts_with("https://");
        assert!(https && !preset.description.is_empty(), "{}", preset.id);
    }
}

#[test]
fn a_rule_warns_of_each_placeholder_until_it_is_filled_in() {
    let of_placeholders = |rule: &Value| {
        let warnings = parsed(rule, &Owner::Admin).warnings();
        let unfilled = warnings.into_iter().filter(|warning| warning.detail.contains("is a placeholder"));
        unfilled.map(|warning| warning.pointer).collect::<BTreeSet<_>>()
    };
    for preset in all() {
        assert!(!preset.fill_in.is_empty(), "{}", preset.id);
        let expected = preset.fill_in.iter().map(|fill_in| fill_in.pointer.clone()).collect();
        assert_eq!(of_placeholders(&preset.tracking_api), expected, "{}", preset.id);
        let filled = filled(preset);
        assert!(!filled.to_string().contains("YOUR-"), "{filled}");
        assert_eq!(of_placeholders(&filled), [].into(), "{}", preset.id);
    }
}

#[test]
fn a_filled_in_preset_warns_only_of_secrets_in_the_url() {
    let warned: Vec<(&str, String)> = all()
        .iter()
        .flat_map(|preset| {
            parsed(&filled(preset), &owners(preset)[0]).warnings().into_iter().map(|one| (preset.id.as_str(), one.pointer))
        })
        .collect();
    let expected = [
        ("affise", "/request/query/7/value"),
        ("tune", "/request/query/4/value"),
        ("scaleo", "/request/query/6/value"),
        ("ga4", "/request/query/1/value"),
        ("meta", "/request/query/0/value"),
    ];
    assert_eq!(warned, expected.map(|(id, pointer)| (id, pointer.to_owned())));
}

#[test]
fn case_d3_a_preset_is_inactive_until_everything_is_filled_in() {
    let meta = parsed(&preset("meta").tracking_api, &affiliate());
    let secrets = ["access_token".to_owned()].into();
    let reason = "placeholders YOUR-PIXEL-ID, YOUR-SITE are not filled in yet";
    assert_eq!(meta.why_inactive(&[].into()).as_deref(), Some(reason));
    let both = format!("{reason}; secret access_token has no value yet");
    assert_eq!(meta.why_inactive(&secrets), Some(both));
    for preset in all() {
        assert!(parsed(&preset.tracking_api, &Owner::Admin).why_inactive(&[].into()).is_some(), "{}", preset.id);
        assert_eq!(parsed(&filled(preset), &Owner::Admin).why_inactive(&[].into()), None, "{}", preset.id);
    }
}

/// A receiver is down for a day from the first request on; jitter takes a tenth of every wait at most.
#[test]
fn l2_the_retries_of_every_preset_outlast_a_day() {
    let a_day = [60, 120, 240, 480, 960, 1_920, 3_840, 7_680, 14_400, 14_400, 14_400, 14_400, 14_400, 14_400, 14_400, 14_400];
    for preset in receivers() {
        assert_eq!(waits(&preset.tracking_api, None), a_day, "{}", preset.id);
        let shortest = a_day.iter().sum::<u64>() * 9 / 10;
        assert_eq!((shortest, shortest > 86_400), (117_450, true), "32 h 37 min");
    }
    let steps = [("oauth2_client_credentials", "login"), ("oauth2_client_credentials", "send"), ("login_json", "login")];
    let more = [("login_form_cookie", "login"), ("login_form_cookie", "send"), ("create_and_poll", "create")];
    for (id, step) in steps.into_iter().chain(more).chain([("sign_several_values", "send")]) {
        assert_eq!(waits(&preset(id).tracking_api, Some(step)), a_day, "{id}, {step}");
    }
    let usual = waits(&json!({"name": "n", "request": {"url": "https://a.example/"}}), None);
    assert_eq!(usual.iter().sum::<u64>(), 25_380, "the default is 7 h 3 min");
}

/// The waits before the retries of a rule's request, or of a step's, in seconds.
fn waits(rule: &Value, step: Option<&str>) -> Vec<u64> {
    let plan = parsed(rule, &Owner::Admin).plan;
    step.map_or_else(|| plan.first_call(), |step| plan.call(step).unwrap()).retry.schedule().waits_seconds.clone()
}

/// Waits are a day at most, so that 30 waits equal 30 days only if each is a day long; jitter may take a tenth of each.
#[test]
fn l2_30_retries_with_growing_waits_do_not_reach_30_days_by_themselves() {
    let growing = waits(&preset("poll_30_days").tracking_api, Some("status"));
    let mut expected = vec![900, 1_800, 3_600, 7_200, 14_400, 28_800, 57_600];
    expected.extend([86_400; 23]);
    assert_eq!(growing, expected);
    assert_eq!(growing.iter().sum::<u64>(), 2_101_500, "24 days 7 h 45 min");
    let fixed = json!({"max_retries": 30, "delay_seconds": 86_400, "backoff": "fixed"});
    let fixed = waits(&json!({"name": "n", "request": {"url": "https://a.example/"}, "retry": fixed}), None);
    assert_eq!((fixed.len(), fixed.iter().sum::<u64>()), (30, 2_592_000), "30 days, 27 with the most that jitter takes");
    // The waits of the step `rest`, from the ninth request on, have no jitter.
    let shortest = growing.iter().sum::<u64>() * 9 / 10 + 22 * 32_400;
    assert_eq!((shortest, shortest > 2_592_000), (2_604_150, true), "30 days 3 h 22 min");
}

#[test]
fn every_flow_has_an_example_of_its_steps_and_no_other_preset_has() {
    for preset in receivers() {
        assert!(preset.example.request.is_some() && !preset.example.responses.is_empty(), "{}", preset.id);
        assert!(preset.example.steps.is_empty(), "{}", preset.id);
    }
    for preset in flows() {
        assert!(preset.example.request.is_none() && preset.example.responses.is_empty(), "{}", preset.id);
        assert!(preset.example.steps.len() > 1, "{}", preset.id);
    }
}
