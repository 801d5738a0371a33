//! Variables of a rule, and the sorted query (Q1).

use super::*;
use crate::{
    caller::Owner,
    template::sample::event,
    tracking_api::{Difference, RuleDefinition, Settings, merge_patch},
};

fn parse(members: &Value) -> Result<RuleDefinition, Faults> {
    let mut document = json!({"name": "n", "request": {"url": "https://a.example/"}});
    merge_patch(&mut document, members);
    RuleDefinition::parse(&document, &Owner::Admin, &Settings::default())
}

#[track_caller]
fn check_url(members: &Value, expected: &str) {
    let definition = parse(members).unwrap_or_else(|faults| panic!("{members}: {faults}"));
    let rendered = in_scope(&event(), None, |scope| definition.plan.first_call().request.render(scope)).unwrap();
    assert_eq!(rendered.url, expected, "{members}");
    assert_eq!(
        parse(&definition.document()).unwrap().plan.first_call().request,
        definition.plan.first_call().request,
        "it is read back as it was"
    );
}

#[track_caller]
fn check_refused(members: &Value, pointer: &str, detail: &str) {
    let faults = parse(members).unwrap_err();
    let found: Vec<_> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    assert_eq!(found, [(pointer, detail)], "{members}");
}

#[test]
fn case_b1_a_signature_over_several_values_and_a_secret() {
    let variables = json!({"sig": "{click_id}.{transaction_id}.{payout}.{secret.key}"});
    let url = |modifier: &str| json!({"variables": variables, "request": {"url": format!("https://a.example/?s={{var.sig|{modifier}}}")}});
    check_url(&url("md5"), "https://a.example/?s=1d72d3c02414e285bf0bb07d1c30803c");
    check_url(
        &url("sha512"),
        "https://a.example/?s=422e07e833401bc47d2343cfbab1e69157e5bc8249f6541ec2fedcff19183e73b2ee85d7569822592a80b432bd1b0e5bcf7db6333222c0009dd06367b57127f9",
    );
    check_url(&url("hmac_sha1:token"), "https://a.example/?s=e5a0c7543935064bbdb6eca6a3dc82e9f5a63cd6");
}

#[test]
fn case_b1_variables_read_each_other_in_the_order_of_their_references() {
    let variables = json!({"a": "{var.b}-{var.c}", "b": "{var.c|upper}", "c": "c{{x}}{payout}"});
    check_url(
        &json!({"variables": variables, "request": {"url": "https://a.example/{var.a}"}}),
        "https://a.example/C%7BX%7D5.00-c%7Bx%7D5.00",
    );
    check_url(&json!({"variables": {}, "request": {"url": "https://a.example/{var.ticket}"}}), "https://a.example/T-5");
    check_url(
        &json!({"variables": {"b": "{var.ticket}!"}, "request": {"url": "https://a.example/{var.b}"}}),
        "https://a.example/T-5%21",
    );
}

#[test]
fn case_b1_a_circle_of_variables_is_named() {
    let circle = "variables read each other in a circle: a → b → c → a";
    check_refused(
        &json!({"variables": {"b": "{var.c}", "c": "{var.a}", "a": "{var.b}", "d": "{var.a}"}}),
        "/variables/a",
        circle,
    );
    check_refused(&json!({"variables": {"x": "1{var.x}"}}), "/variables/x", "variables read each other in a circle: x → x");
    check_refused(
        &json!({"variables": {"q": "{var.r}", "r": "{var.r}"}}),
        "/variables/r",
        "variables read each other in a circle: r → r",
    );
}

#[test]
fn case_b1_a_variable_has_one_source() {
    let rule = json!({"when": [{"operator": "always"}], "then": "delivered", "set": {"variables": {"sig": "{http_code}"}}});
    let members = json!({"variables": {"sig": "x"}, "answer": {"rules": [rule]}});
    check_refused(&members, "/variables/sig", "an answer rule or a step sets sig too: choose another name for one of them");
}

#[test]
fn case_b1_variables_have_limits() {
    let many: Value = (0..51).map(|number| (format!("v{number}"), json!("x"))).collect::<crate::json::Map>().into();
    check_refused(&json!({"variables": many}), "/variables", "expected at most 50 variables, got 51");
    check_refused(&json!({"variables": {"a": "x".repeat(8_193)}}), "/variables/a", "8193 bytes are too many: 8192 are allowed");
    let long = "x".repeat(8_000);
    let five = json!({"a": long, "b": long, "c": long, "d": long, "e": long});
    check_refused(&json!({"variables": five}), "/variables", "expected variables of at most 32768 bytes in all, got 40000");
    check_refused(
        &json!({"variables": {"a b": "x"}}),
        "/variables/a b",
        "not a name: 1 to 64 characters of A-Z a-z 0-9 _ - are allowed",
    );
    check_refused(&json!({"variables": ["x"]}), "/variables", "a list is not an object: write {\"name\": \"template\"}");
    let doubled = json!({"variables": {"a": "x".repeat(5_000), "b": "{var.a}{var.a}"}});
    let rendered = in_scope(&event(), None, |scope| parse(&doubled).unwrap().plan.first_call().request.render(scope));
    assert_eq!(rendered, Err(RenderFault::TooLong { limit_bytes: 8 * 1024 }));
}

#[test]
fn case_b1_the_sorted_query_has_the_parameters_as_they_are_sent_without_those_that_read_it() {
    let query = json!([{"name": "b", "value": "{affiliate_click_id}"}, {"name": "sig", "value": "{var.sig|md5}"}]);
    let members = json!({"variables": {"sig": "{query_sorted}{secret.key}"},
        "request": {"url": "https://a.example/p?z=1&a={payout}&c={voucher|omit_if_empty}", "query": query}});
    check_url(&members, "https://a.example/p?z=1&a=5.00&b=click%201%2F2&sig=4b842c9f8f3bc4e830ddd6002e4c882d");
    check_url(
        &json!({"request": {"url": "https://a.example/?b=2&h={query_sorted|sha1}&a=1"}}),
        "https://a.example/?b=2&h=d53cf64e768f4ef09c806bbe12258c78211b2690&a=1",
    );
    check_url(
        &json!({"request": {"url": "https://a.example/{query_sorted}?b=2&a=1&a=0"}}),
        "https://a.example/a%3D1%26a%3D0%26b%3D2?b=2&a=1&a=0",
    );
}

#[test]
fn case_b1_what_is_made_of_a_secret_by_way_of_variables_is_masked() {
    let members = json!({"variables": {"sig": "{pcid}{secret.key}", "plain": "{pcid}"},
        "request": {"url": "https://a.example/?s={var.sig|md5}&p={var.plain}&t={secret.token}",
            "headers": [{"name": "X-Sorted", "value": "{query_sorted|sha1}"}]}});
    let request = parse(&members).unwrap().plan.first_call().request.clone();
    assert_eq!(request.secrets().collect::<Vec<_>>(), ["token", "key"]);
    let texts = in_scope(&event(), None, |scope| request.secret_texts(scope));
    let made: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert!(
        made.contains(&"44556580e18a68bbd717fc94e0cd659c") && made.contains(&"s3cr3t/+") && !made.contains(&"pc-1"),
        "{made:?}"
    );
    in_scope(&event(), None, |scope| {
        let bound = request.bound(scope).unwrap();
        let scope = scope.with(&bound);
        let traces: Vec<_> = request
            .templates()
            .flat_map(|template| template.trace(&scope, &[]))
            .map(|traced| (traced.written.to_owned(), traced.value, traced.text, traced.from))
            .collect();
        let row = |written: &str, value: &str, text: &str, from: &str| {
            (written.to_owned(), value.to_owned(), text.to_owned(), from.to_owned())
        };
        assert_eq!(traces[0], row("{var.sig|md5}", "***", "***", "variable sig of the rule"));
        assert_eq!(traces[1], row("{var.plain}", "pc-1", "pc-1", "variable plain of the rule"));
        assert_eq!(traces[3], row("{query_sorted|sha1}", "***", "***", "the request"));
    });
}

#[track_caller]
fn check_difference(after: &RuleDefinition, before: &RuleDefinition, expected: Option<Difference>) {
    assert_eq!(after.difference(before, "key"), expected);
    assert_eq!(after.honours("key", &before.binding("key", &Owner::Admin)), expected.is_none());
}

#[test]
fn case_b1_a_secret_is_bound_to_the_variables_that_use_it() {
    let rule = |sig: &str, other: &str, place: &str| {
        parse(&json!({"variables": {"sig": sig, "other": other}, "request": {"url": "https://a.example/?c={click_id}",
            "headers": [{"name": "X-Sig", "value": place}]}}))
        .unwrap()
    };
    let before = rule("{pcid}{secret.key}", "{ip}", "{var.sig|md5}");
    check_difference(&rule("{pcid}{secret.key}", "{ip}", "{var.sig|md5}"), &before, None);
    check_difference(&rule("{secret.key}", "{ip}", "{var.sig|md5}"), &before, Some(Difference::Use));
    check_difference(&rule("{pcid}{secret.key}", "{ip}", "{var.sig}"), &before, Some(Difference::Use));
    check_difference(&rule("{pcid}{secret.key}", "{var.sig}", "{var.other}"), &before, Some(Difference::Use));
}

fn signed(signing: &Value) -> Value {
    let body = json!({"format": "json", "fields": [{"path": "id", "value": "{transaction_id}"}]});
    json!({"signing": signing, "request": {"method": "POST", "body": body}})
}

#[track_caller]
fn check_signature(signing: &Value, name: &str, expected: &str) {
    let definition = parse(&signed(signing)).unwrap_or_else(|faults| panic!("{signing}: {faults}"));
    let rendered = in_scope(&event(), None, |scope| definition.plan.first_call().request.render(scope)).unwrap();
    let found: Vec<_> = rendered.headers.iter().filter(|(header, _)| header == name).map(|(_, value)| value.as_str()).collect();
    assert_eq!(found, [expected], "{signing}");
    assert_eq!(
        parse(&definition.document()).unwrap().plan.first_call().request,
        definition.plan.first_call().request,
        "it is read back as it was"
    );
}

#[test]
fn case_b2_signatures_in_a_header_of_the_receivers_choice() {
    let github = json!({"secret": "key", "header": "X-Hub-Signature-256", "prefix": "sha256="});
    check_signature(&github, "X-Hub-Signature-256", "sha256=f951de880c66cfb4abd13801903da96ba7b0578d1c4f0f539ef4042b9172b9f6");
    let base64 = json!({"secret": "key", "header": "X-Shop-Hmac", "algorithm": "hmac_sha1", "encoding": "base64"});
    check_signature(&base64, "X-Shop-Hmac", "jJwMb0KJUBCBByyXOqlex9Uu4Bc=");
    let timed =
        json!({"secret": "key", "header": "X-Sig", "algorithm": "hmac_sha512", "signed": "v0:{timestamp}:{body}:{secret.token}"});
    check_signature(
        &timed,
        "X-Sig",
        "f55590e85738eeec5af78ddf4168438ef64fba87cef522913089fc446121a8d5acb2bbb11c45a8b2b8770ea35a8cabf63a9798f4236ab80620d767fc80741438",
    );
    check_signature(
        &json!({"secret": "key", "header": "X-Sig", "signed": "{pcid}"}),
        "X-Sig",
        "8e65550ada4c060ef2579f76518ce6cbbab740f80bee5380cf6025c81c91f73e",
    );
}

#[test]
fn case_b2_the_text_before_a_signature_holds_macros() {
    let signature = "f951de880c66cfb4abd13801903da96ba7b0578d1c4f0f539ef4042b9172b9f6";
    for (prefix, expected) in [
        ("t={now|unix},v1=", "t=1795338001,v1="),
        ("id={transaction_id};sha256=", "id=trx_1;sha256="),
        ("{{v}}:{result|upper} ", "{v}:APPROVED "),
    ] {
        let signing = json!({"secret": "key", "header": "X-Sig", "prefix": prefix});
        check_signature(&signing, "X-Sig", &format!("{expected}{signature}"));
    }
    let refused = |prefix: &str, detail: &str| {
        check_refused(&signed(&json!({"secret": "key", "header": "X-Sig", "prefix": prefix})), "/signing/prefix", detail);
    };
    refused("{payout|omit_if_empty}", "omit_if_empty has no place before a signature");
    refused("t={", "character 3: a lone {: write {{ for a brace, or close the macro with }");
    refused("č=", "expected at most 64 printable ASCII characters");
}

#[test]
fn case_b2_faults_of_a_signature_are_reported() {
    let stray = "\"prefix\" has no place here: it belongs to a signature in a header of yours, name that as header";
    check_refused(&signed(&json!({"secret": "key", "prefix": "x"})), "/signing/prefix", stray);
    let own = "Host is written by the sending itself: a rule can't set it";
    check_refused(&signed(&json!({"secret": "key", "header": "host"})), "/signing/header", own);
    let unclosed = "character 8: a lone {: write {{ for a brace, or close the macro with }";
    check_refused(&signed(&json!({"secret": "key", "header": "X-S", "signed": "{body}:{"})), "/signing/signed", unclosed);
    let mut twice = signed(&json!({"secret": "key", "header": "X-Sig"}));
    twice["request"]["headers"] = json!([{"name": "x-sig", "value": "1"}]);
    check_refused(&twice, "/request/headers/0/name", "x-sig is written by signing: leave out the header or signing");
}

#[test]
fn case_b2_a_secret_is_bound_to_what_it_signs() {
    let rule = |signing: Value| parse(&signed(&signing)).unwrap();
    let before = rule(json!({"secret": "key", "header": "X-Sig", "signed": "{now|unix}.{body}"}));
    for after in [
        json!({"secret": "key"}),
        json!({"secret": "key", "header": "X-Sig", "signed": "{body}"}),
        json!({"secret": "key", "header": "X-Sig", "encoding": "base64", "signed": "{now|unix}.{body}"}),
    ] {
        assert_eq!(rule(after.clone()).difference(&before, "key"), Some(Difference::Use), "{after}");
    }
    let same = json!({"secret": "key", "header": "X-Sig", "signed": "{now|unix}.{body}", "algorithm": "hmac_sha256"});
    assert_eq!(rule(same).difference(&before, "key"), None);
}

#[test]
fn case_b11_a_value_in_place_of_a_secrets_name_is_not_echoed() {
    let value = "whsec_c2VjcmV0LXZhbHVl/+==";
    let detail = "looks like the value of a secret: write its NAME here, such as key, and the value as secret_values.key";
    for value in
        [value, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "Zm9vYmFyMQZm9vYmFyMQZm9vYmFy"]
    {
        check_refused(&signed(&json!({"secret": value})), "/signing/secret", detail);
    }
    let no_name = "expected the name of a secret, such as key: its value is written as secret_values.key";
    check_refused(&signed(&json!({"secret": "my secret"})), "/signing/secret", no_name);
    let value = "whsec_c2VjcmV0LXZhbHVl";
    for text in [format!("{{pcid|hmac_sha256:{value}}}"), format!("{{secret.{value}}}")] {
        let faults = parse(&json!({"variables": {"v": text}})).unwrap_err();
        assert!(!faults.to_string().contains("c2VjcmV0"), "{faults}");
    }
}
