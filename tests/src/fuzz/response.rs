//! The target `response`: any status, headers and body as a receiver's answer, judged by any answer rules.

use tracking_core::{
    answer::{AnswerRules, Judgement, Response, Verdict, Within},
    caller::Owner,
    fault::Faults,
    json::{self, Value},
    path::FieldPath,
    retry::parse_retry_after,
};

use super::{
    parts::Parts,
    site::{Attempt, now, plain_event},
};

/// The longest text that response data may have, in bytes.
const LONGEST_EXTRACTED: usize = 2_048;
/// The longest value of a variable, in bytes.
const LONGEST_VARIABLE: usize = 8 * 1_024;

/// Rules that read every part of a body, whatever the input's own rules are.
const ASKING: &str = r#"{"rules":[
    {"when":[{"source":"body","key":"a","operator":"between","value":"1","value2":"2.50"}],"then":"delivered",
        "set":{"result":"{body.result}","payout":"{body.payout}","value":"{body.value}","external_id":"{body.id}",
            "variables":{"t":"{body.list[0].t}{header.x-t}{http_code}"}}},
    {"when":[{"source":"body","key":"b.c","operator":"matches","value":"^(ok|yes)+$"}],"then":"pending"},
    {"when":[{"source":"header","key":"x-a","operator":"equals","value":"one|two"}],"then":"retry"},
    {"when":[{"source":"http_code","operator":"bigger_than","value":"499"}],"then":"retry"},
    {"when":[{"source":"query","key":"q","operator":"string_contains","value":"no"}],"then":"retry"},
    {"when":[{"source":"body","key":"list[0]","operator":"is_true"}],"then":"failed"},
    {"when":[{"operator":"always"}],"then":"delivered","set":{"result":"{body.result}","payout":"{body.payout|number:2}",
        "variables":{"whole":"{body.list}"}}}],"otherwise":"failed"}"#;

/// Judges an answer by the rules of the input and by `ASKING`. The parts are the status, the rules, the URL that was sent, a path, the
/// headers one a line, and the body.
pub fn response(data: &[u8]) {
    let mut parts = Parts::of(data);
    let status = parts.text().trim().parse().unwrap_or(200);
    let (rules, url, path, headers) = (parts.bytes(), parts.text(), parts.text(), parts.text());
    let headers: Vec<(String, String)> = headers
        .lines()
        .take(100)
        .map(|line| line.split_once(':').unwrap_or((line, "")))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    for (_, value) in &headers {
        let _ = parse_retry_after(value, now());
    }
    let answer = Response::new(status, headers, parts.rest().to_vec());
    if let Ok(path) = path.parse::<FieldPath>() {
        assert_eq!(path.to_string().parse().as_ref(), Ok(&path), "a path can be written and read");
        let _ = answer.field(&path);
    }
    let attempt = Attempt::new(plain_event(), "T-5".to_owned());
    let asking = json::parse(ASKING.as_bytes()).expect("they are JSON");
    by_rules(&asking, &answer, &url, &attempt);
    if let Ok(rules) = json::parse(rules) {
        by_rules(&rules, &answer, &url, &attempt);
    }
}

fn by_rules(document: &Value, answer: &Response, url: &str, attempt: &Attempt) {
    let affiliate = Owner::Affiliate { affiliate_id: "aff_7".parse().expect("it is an id") };
    for owner in [Owner::Admin, affiliate] {
        let Some(rules) = read(document, &owner) else { continue };
        let judged = rules.judge(answer, url, &attempt.scope());
        assert_eq!(rules.judge(answer, url, &attempt.scope()), judged, "an answer always means the same");
        check(&judged, &rules, answer, &owner);
    }
}

/// Reads answer rules, and checks that they are the same after writing and reading.
fn read(document: &Value, owner: &Owner) -> Option<AnswerRules> {
    let mut faults = Faults::default();
    let rules = AnswerRules::parse(Some(document), "/answer", owner, Within::OneRequest, &mut faults);
    if !faults.is_empty() {
        return None;
    }
    let written = rules.document();
    // Faults hold the used part of the budget of expressions.
    let mut faults = Faults::default();
    let again = AnswerRules::parse(Some(&written), "/answer", owner, Within::OneRequest, &mut faults);
    assert!(faults.is_empty(), "{written} is refused: {faults}");
    assert_eq!(again.document(), written);
    Some(rules)
}

fn check(judged: &Judgement, rules: &AnswerRules, answer: &Response, owner: &Owner) {
    if let Some(rule) = judged.rule {
        assert!(rule < rules.count());
    } else {
        let expected = match judged.reason {
            Some(_) => Verdict::Retry,
            None => rules.otherwise().unwrap_or_else(|| Verdict::of_status(answer.status)),
        };
        assert_eq!(judged.verdict, expected);
        assert!(judged.extracted.is_empty() && judged.extracted.variables.is_empty());
    }
    assert!(*owner == Owner::Admin || judged.extracted.is_empty(), "an affiliate's rule sends the platform no data");
    let external_id = judged.extracted.external_id.iter();
    let fits = |text: &String, longest: usize| text.len() <= longest && text.trim() == text;
    assert!(external_id.into_iter().all(|text| fits(text, LONGEST_EXTRACTED)));
    assert!(judged.extracted.variables.values().all(|text| fits(text, LONGEST_VARIABLE)));
    assert!(judged.notes.iter().all(|note| note.len() <= LONGEST_EXTRACTED), "notes are short");
    let written = serde_json::to_string(&judged.extracted).expect("it can be written");
    assert_eq!(serde_json::from_str(&written).ok().as_ref(), Some(&judged.extracted), "{written}");
}
