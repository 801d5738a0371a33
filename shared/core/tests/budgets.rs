//! The budgets of rules, renderings and judgements: the largest input within each and the smallest beyond it, and the memory of
//! hostile inputs.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use peak_alloc::PeakAlloc;
use tracking_core::{
    answer::{Judgement, Response, Verdict},
    caller::Owner,
    change::Change,
    event::Event,
    fault::Faults,
    json,
    json::Value,
    template::{At, Scope, Steps},
    tracking_api::{RuleDefinition, Settings},
};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// Every test holds this lock, so that each measures its own memory.
static ALONE: Mutex<()> = Mutex::new(());

const LARGE: &str = "the regular expression takes more than 64 KiB compiled: repeat less, or write smaller classes, such as [0-9] for \
                     \\d and [A-Za-z0-9_] for \\w";
const LARGE_TOGETHER: &str = "the regular expressions of the rule take more than 256 KiB compiled: repeat less, or write smaller \
                              classes, such as [0-9] for \\d and [A-Za-z0-9_] for \\w";
const TOO_MANY_STEPS: &str = "passes the 8388608 steps of a rendering: write fewer modifiers, or simpler regular expressions";

fn alone() -> impl Drop {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn parse(document: &Value) -> Result<RuleDefinition, Faults> {
    RuleDefinition::parse(document, &Owner::Admin, &Settings::default())
}

fn stored(document: &Value) -> RuleDefinition {
    RuleDefinition::parse(document, &Owner::Admin, &Settings { stored: true, ..Settings::default() })
        .expect("what was stored is read")
}

/// A rule with these texts in a JSON body.
fn rule(values: &[String]) -> Value {
    let field = |(i, value): (usize, &String)| json!({"path": format!("f{i}"), "value": value});
    let fields: Vec<Value> = values.iter().enumerate().map(field).collect();
    let body = json!({"format": "json", "fields": fields});
    json!({"name": "n", "request": {"method": "POST", "url": "https://a.example/", "body": body}})
}

/// A rule that matches the field `a` of a response with each of these expressions, each in an answer rule of its own.
fn matching(patterns: &[&str]) -> Value {
    let one = |pattern: &&str| json!({"when": [{"source": "body", "key": "a", "operator": "matches", "value": pattern}], "then": "delivered"});
    json!({"name": "n", "request": {"url": "https://a.example/"}, "answer": {"rules": patterns.iter().map(one).collect::<Vec<_>>()}})
}

fn event(x: &str) -> Event {
    let change = Change::sample(None, "2026-11-22T09:00:00Z".parse().expect("a time"));
    let mut event = change.events().into_iter().next().expect("the sample has events");
    Arc::make_mut(&mut event.conversion).query_params.insert("x".to_owned(), x.to_owned());
    event
}

fn in_scope<T>(event: &Event, with: impl FnOnce(&Scope<'_>) -> T) -> T {
    let none = BTreeMap::new();
    with(&Scope {
        event,
        delivery_id: "dlv_1",
        tracking_api_id: "trk_1",
        attempt: 1,
        at: At::default(),
        is_test: false,
        masks: false,
        now: event.occurred_at,
        secrets: &none,
        variables: &none,
        answer: None,
        bound: None,
        steps: Steps::default(),
    })
}

/// The body that a rule sends if `{query.x}` is that text, or the reason why there is none; and the steps taken.
fn sent(definition: &RuleDefinition, x: &str) -> (Result<String, String>, usize) {
    in_scope(&event(x), |scope| {
        let rendered = definition.plan.first_call().request.render(scope).map_err(|fault| fault.to_string());
        let body = rendered.map(|rendered| String::from_utf8(rendered.body.unwrap_or_default()).expect("texts are UTF-8"));
        (body, scope.steps.taken())
    })
}

fn judge(definition: &RuleDefinition, body: &str) -> Judgement {
    let answer = Response::new(200, Vec::new(), body.as_bytes().to_vec());
    in_scope(&event(""), |scope| definition.plan.first_call().answer.judge(&answer, "https://a.example/", scope))
}

/// The result, the peak memory of the call, and the memory that the result keeps, in KiB.
fn measured<T>(call: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let made = call();
    let (peak, kept) = (ALLOCATOR.peak_usage(), ALLOCATOR.current_usage());
    (made, peak.saturating_sub(before) / 1_024, kept.saturating_sub(before) / 1_024)
}

#[track_caller]
fn check_faults(document: &Value, expected: &[(&str, &str)]) {
    let faults = parse(document).expect_err("the rule is over a budget");
    let found: Vec<(&str, &str)> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(found, expected);
}

fn regex(pattern: &str) -> String {
    format!("{{query.x|regex:/{pattern}/x/}}")
}

#[test]
fn f2_many_large_expressions_take_little_memory() {
    let _alone = alone();
    let document = rule(&vec![regex("\\pL{21}").repeat(100); 20]);
    let (parsed, peak, _) = measured(|| parse(&document));
    let faults = parsed.unwrap_err();
    assert_eq!(faults.0[0].pointer, "/request/body/fields/0/value");
    assert_eq!(faults.0[0].detail, format!("character 10: {LARGE}"));
    assert!(faults.0.len() == 101 && faults.0[100].detail.ends_with(" more"), "{faults}");
    assert!(peak < 1_024, "{peak} KiB");
}

#[test]
fn f2_the_largest_expressions_that_are_allowed_keep_little_memory_after_use() {
    let _alone = alone();
    let document = rule(&vec![regex("[a-z]{1,60}"); 20]);
    let (definition, peak, kept) = measured(|| {
        let definition = parse(&document).unwrap();
        let (sent, _) = sent(&definition, &"abc ".repeat(50));
        assert!(sent.unwrap().starts_with(r#"{"f0":"x x x "#));
        definition
    });
    assert!(peak < 1_024 && kept < 384, "{peak} KiB, {kept} KiB");
    let estimate = definition.bytes() / 1_024;
    assert!(estimate < 384 && estimate + 32 > kept, "{estimate} KiB, {kept} KiB");
}

#[test]
fn f2_a_rule_that_is_too_large_is_not_read() {
    let _alone = alone();
    let with = |bytes: usize| {
        let mut document = rule(&vec!["x".repeat(13_000); 5]);
        document["conditions"] = json!({"source": vec!["nowhere"; 3]});
        document["request"]["body"]["fields"][0]["value"] = "".into();
        let size: usize = ["name", "conditions", "request"].into_iter().map(|key| document[key].to_string().len()).sum();
        document["request"]["body"]["fields"][0]["value"] = "x".repeat(bytes - size).into();
        document
    };
    let faults = parse(&with(65_536)).unwrap_err();
    assert_eq!(faults.0.len(), 3, "{faults}");
    check_faults(&with(65_537), &[("", "65537 bytes are too many for a rule: 65536 are allowed")]);
}

#[test]
fn f2_expressions_are_counted_over_the_whole_rule() {
    let _alone = alone();
    let with = |modifiers: usize, conditions: usize| {
        let mut document = matching(&vec!["^a"; conditions]);
        document["request"]["query"] = json!([{"name": "q", "value": regex("a").repeat(modifiers)}]);
        document
    };
    assert!(parse(&with(15, 5)).is_ok());
    let detail = "expected at most 20 regular expressions in a rule, this is number 21";
    check_faults(&with(15, 6), &[("/answer/rules/5/when/0/value", detail)]);
    check_faults(&with(21, 0), &[("/request/query/0/value", &format!("character 430: {detail}"))]);
}

#[test]
fn f2_an_expression_is_bounded_as_written_and_compiled() {
    let _alone = alone();
    let field = "/request/body/fields/0/value";
    let with = |pattern: &str| rule(&[regex(pattern)]);
    assert!(parse(&with(&"a".repeat(512))).is_ok());
    let long = "character 10: expected a regular expression of at most 512 bytes, got 513";
    check_faults(&with(&"a".repeat(513)), &[(field, long)]);
    assert!(parse(&with(&"(a)".repeat(20))).is_ok());
    let groups = "character 10: expected at most 20 groups in a regular expression, got 21";
    check_faults(&with(&"(a)".repeat(21)), &[(field, groups)]);
    let large = format!("character 10: {LARGE}");
    assert!(parse(&with("a{2041}")).is_ok());
    check_faults(&with("a{2042}"), &[(field, &large)]);
    for everyday in ["\\w+", "\\d{4}-\\d{2}-\\d{2}", "(?i)^(approved|rejected)$", "^[^@]+@([^@]+)$", "\\pL"] {
        assert!(parse(&with(everyday)).is_ok(), "{everyday}");
    }
}

#[test]
fn f2_the_expressions_of_a_rule_are_bounded_together() {
    let _alone = alone();
    let texts = vec![regex("\\w"); 5];
    assert!(parse(&rule(&texts[..4])).is_ok());
    check_faults(&rule(&texts), &[("/request/body/fields/4/value", &format!("character 10: {LARGE_TOGETHER}"))]);
}

#[test]
fn f2_the_work_for_refused_expressions_is_bounded() {
    let _alone = alone();
    let details: Vec<String> = parse(&rule(&vec![regex("("); 6])).unwrap_err().0.into_iter().map(|fault| fault.detail).collect();
    let syntax = "character 10: not a regular expression: unclosed group; write regex:/from/to/ and \\/ for a slash";
    let unchecked = "character 10: not checked: 4 regular expressions of the rule are refused already, correct them first";
    assert_eq!(details, [syntax, syntax, syntax, syntax, unchecked, unchecked]);
}

#[test]
fn f2_a_stored_rule_over_the_budgets_is_read_and_never_runs() {
    let _alone = alone();
    let document = rule(&vec![regex("\\pL{21}").repeat(150); 20]);
    assert!(document.to_string().len() > 65_536);
    let (definition, peak, _) = measured(|| stored(&document));
    assert!(peak < 4_096, "{peak} KiB");
    let detail =
        "the template is too expensive: {query.x} has a regular expression over the limits: save the rule with a smaller one";
    assert_eq!(sent(&definition, "abc").0, Err(detail.to_owned()));
    assert_eq!(definition.document()["request"]["body"], document_with_types(&document));

    let judgement = judge(&stored(&matching(&["a{1000}{20}", "^x"])), "a=x");
    assert_eq!((judgement.verdict, judgement.rule), (Verdict::Delivered, Some(1)));
    let note = "/answer/rules/0/when/0: a regular expression over the limits never matches, save the rule with a smaller one";
    assert_eq!(judgement.notes, [note]);
}

#[test]
fn f2_a_stored_rule_with_more_than_a_hundred_conditions_goes_on_and_is_not_changed() {
    let _alone = alone();
    let condition = |value: usize| json!({"source": "body", "key": "a", "operator": "equals", "value": value.to_string()});
    let rules: Vec<Value> = (0..6)
        .map(|rule| json!({"when": [{"any": (0..20).map(|n| json!([condition(rule * 20 + n)])).collect::<Vec<_>>()}], "then": "failed"}))
        .collect();
    let document =
        json!({"name": "n", "request": {"url": "https://a.example/"}, "answer": {"rules": rules, "otherwise": "delivered"}});
    let detail = "expected at most 100 conditions in a rule, this is number 101";
    check_faults(&document, &[("/answer/rules/5/when/0/any/0/0", detail)]);
    let judgement = judge(&stored(&document), "a=119");
    assert_eq!((judgement.verdict, judgement.rule), (Verdict::Failed, Some(5)));
}

/// The body of a rule in the resource's form.
fn document_with_types(document: &Value) -> Value {
    let mut body = document["request"]["body"].clone();
    for field in body["fields"].as_array_mut().expect("a list of fields") {
        field["type"] = "string".into();
    }
    body
}

#[test]
fn f2_positions_of_a_list_take_no_memory_for_those_before() {
    let _alone = alone();
    let path = |first: usize| format!("a[{first}]{}", "[999]".repeat(190));
    let fields: Vec<Value> = (900..950).map(|first| json!({"path": path(first), "value": "x"})).collect();
    let body = json!({"format": "json", "fields": fields});
    let document = json!({"name": "n", "request": {"method": "POST", "url": "https://a.example/", "body": body}});
    let (parsed, peak, _) = measured(|| parse(&document));
    let detail = "a list has a gap: its positions count from 0 without one missing";
    assert_eq!(parsed.unwrap_err(), Faults::one("/request/body/fields", detail));
    assert!(peak < 16_384, "{peak} KiB");
}

#[test]
fn f9_a_body_of_faults_takes_little_memory() {
    let _alone = alone();
    let document = rule(&vec!["{a}".repeat(1_365); 200]);
    let (parsed, peak, _) = measured(|| parse(&document));
    assert_eq!(parsed.unwrap_err(), Faults::one("", "824373 bytes are too many for a rule: 65536 are allowed"));
    assert!(peak < 2_048, "{peak} KiB");
}

#[test]
fn f9_an_answer_lists_a_hundred_faults_and_counts_the_others() {
    let _alone = alone();
    let faults = |texts: &[String]| parse(&rule(texts)).unwrap_err();
    assert_eq!(faults(&vec!["{a}".to_owned(); 100]).0.len(), 100);
    let more = faults(&vec!["{a}".to_owned(); 101]);
    assert_eq!((more.0.len(), &*more.0[100].pointer, &*more.0[100].detail), (101, "", "and 1 more"));
    let (more, peak, kept) = measured(|| faults(&vec!["{a}".repeat(90); 200]));
    assert_eq!((more.0.len(), &*more.0[100].detail), (101, "and 198 more"));
    assert!(peak < 1_024 && kept < 64, "{peak} KiB, {kept} KiB");
    let unknown: tracking_core::json::Map = (0..50_000).map(|i| (format!("k{i}"), 1.into())).collect();
    let more = parse(&unknown.into()).unwrap_err();
    assert_eq!((more.0.len(), &*more.0[100].detail), (101, "and 49902 more"));
}

#[test]
fn f3_an_expensive_macro_ends_its_rendering() {
    let _alone = alone();
    let hostile = "{query.none|default:A|replace:A,AAAAAAAAAAAAAAAA|replace:A,AAAAAAAAAAAAAAAA|replace:A,AAAAAAAAAAAAAAAA|\
                   regex:/.*[^A-Z]|[A-Z]/x/|sha256}";
    let definition = parse(&rule(&vec![hostile.to_owned(); 20])).unwrap();
    let ((sent, steps), peak, _) = measured(|| sent(&definition, ""));
    assert_eq!(sent, Err(format!("the template is too expensive: {{query.none}} {TOO_MANY_STEPS}")));
    assert_eq!(steps, 8_388_608);
    assert!(peak < 512, "{peak} KiB");
}

#[test]
fn f3_a_regular_expression_reads_4_kib() {
    let _alone = alone();
    let definition = parse(&rule(&[regex("b$")])).unwrap();
    assert_eq!(sent(&definition, &"b".repeat(4_096)).0.unwrap().len(), 4_105);
    let detail = "the template is too expensive: {query.x} gives regex 4097 bytes: at most 4096 are allowed";
    assert_eq!(sent(&definition, &"b".repeat(4_097)).0, Err(detail.to_owned()));
}

#[test]
fn f3_all_templates_of_a_request_share_the_steps() {
    let _alone = alone();
    let of = |count: usize| parse(&rule(&vec!["{query.x|sha256|sha256}".to_owned(); count])).unwrap();
    let x = "x".repeat(16_000);
    let (one, steps) = sent(&of(1), &x);
    assert_eq!((one.unwrap().len(), steps), (73, 64_322));
    assert_eq!(sent(&of(130), &x).1, 8_361_860);
    let detail = format!("the template is too expensive: {{query.x}} {TOO_MANY_STEPS}");
    assert_eq!(sent(&of(131), &x), (Err(detail), 8_388_608));
}

#[test]
fn f3_everyday_expressions_take_few_steps() {
    let _alone = alone();
    let long = "abc4".repeat(512);
    for (pattern, x, most) in
        [("[^0-9]", "+420 777 123 456", 200_000), ("[^0-9]", &*long, 200_000), ("\\W+", "Loan CZ", 1_000_000)]
    {
        let (sent, steps) = sent(&parse(&rule(&[format!("{{query.x|regex:/{pattern}//}}")])).unwrap(), x);
        assert!(sent.is_ok() && steps < most, "{pattern}: {steps}");
    }
}

#[test]
fn f3_the_preview_of_macros_shares_the_steps() {
    let _alone = alone();
    let definition = parse(&rule(&vec![regex(".*[^A-Z]|[A-Z]"); 20])).unwrap();
    in_scope(&event(&"A".repeat(4_096)), |scope| {
        let traced: usize =
            definition.plan.first_call().request.templates().map(|template| template.trace(scope, &[]).count()).sum();
        assert_eq!((traced, scope.steps.taken()), (20, 8_388_608));
    });
}

#[test]
fn f3_an_answer_that_is_too_expensive_to_read_is_asked_for_again() {
    let _alone = alone();
    let mut random = 1_u32;
    let letters = std::iter::repeat_with(|| {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if random >> 31 == 0 { 'a' } else { 'b' }
    });
    let body = format!("{{\"a\": \"{}\"}}", letters.take(64_000).collect::<String>());
    let hostile = matching(&["(?:a|b)*a(?:a|b){300}c"; 12]);
    let judgement = judge(&parse(&hostile).unwrap(), &body);
    assert_eq!((judgement.verdict, judgement.rule), (Verdict::Retry, None));
    let note = "/answer/rules/0/when/0: the answer rules are too expensive for this answer: 8388608 steps";
    assert_eq!(judgement.notes, [note]);

    let simple = judge(&parse(&matching(&["c", "^[ab]*$"])).unwrap(), &body);
    assert_eq!((simple.verdict, simple.rule, simple.notes), (Verdict::Delivered, Some(1), Vec::new()));
}

#[test]
fn f3_big_fields_are_not_written_out_without_end() {
    let _alone = alone();
    let list = format!("{{\"a\": [{}]}}", vec!["1.5"; 24_000].join(","));
    let condition = json!({"source": "body", "key": "a", "operator": "string_not_contains", "value": "z"});
    // 97 501 steps a condition: 86 of them fit.
    let judged = |count: usize| {
        let rules: Vec<Value> = (0..count)
            .map(|_| json!({"when": [condition, {"operator": "equals", "source": "http_code", "value": "9"}], "then": "delivered"}))
            .collect();
        let document =
            json!({"name": "n", "request": {"url": "https://a.example/"}, "answer": {"rules": rules, "otherwise": "failed"}});
        judge(&parse(&document).unwrap(), &list).verdict
    };
    assert_eq!(judged(50), Verdict::Failed);
    let all = json!({"when": vec![condition.clone(); 20], "then": "delivered"});
    let never = json!({"source": "http_code", "operator": "equals", "value": "9"});
    let mut rules = vec![all; 5];
    for rule in &mut rules {
        rule["when"][19] = never.clone();
    }
    let document =
        json!({"name": "n", "request": {"url": "https://a.example/"}, "answer": {"rules": rules, "otherwise": "failed"}});
    let judgement = judge(&parse(&document).unwrap(), &list);
    assert_eq!((judgement.verdict, judgement.rule), (Verdict::Retry, None));
    let note = "/answer/rules/4/when/6: the answer rules are too expensive for this answer: 8388608 steps";
    assert_eq!(judgement.notes, [note]);
}
