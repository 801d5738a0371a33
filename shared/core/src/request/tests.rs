use super::{Request, Signing, parameter};
use crate::{
    fault::Faults,
    json,
    json::Value,
    template::{
        Allowed, RenderFault,
        sample::{event, event_with_click_id, in_scope},
    },
};

mod bodies;
mod bound;
mod chosen;
mod hostile;

const ADMIN: Allowed = Allowed { admin: true, answer: false, private_targets: false, stored: false };

#[track_caller]
fn request(document: &Value) -> Request {
    let mut faults = Faults::default();
    let request = Request::parse(document, "/request", ADMIN, &mut faults);
    request.unwrap_or_else(|| panic!("{document}: {faults}"))
}

/// The request as text, as an HTTP/1.1 client would write it, line breaks shortened.
fn sent(document: &Value, click_id: &str) -> Result<String, RenderFault> {
    let rendered = in_scope(&event_with_click_id(click_id), None, |scope| request(document).render(scope))?;
    let mut lines = vec![format!("{} {}", rendered.method, rendered.url)];
    lines.extend(rendered.headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(String::new());
    lines.extend(rendered.body.map(|body| String::from_utf8(body).unwrap().replace("\r\n", "\n")));
    Ok(lines.join("\n"))
}

#[track_caller]
fn check_url(url: &str, expected: &str) {
    let rendered = in_scope(&event(), None, |scope| request(&json!({"url": url})).render(scope)).unwrap();
    assert_eq!(rendered.url, expected, "{url}");
}

/// Checks the faults of a request. Of an expected sentence that ends in `…` only the beginning is compared.
#[track_caller]
fn check_faults(document: &Value, expected: &[(&str, &str)]) {
    let mut faults = Faults::default();
    let parsed = Request::parse(document, "/request", Allowed::default(), &mut faults);
    let found: Vec<_> = faults.0.iter().map(|fault| (fault.pointer.as_str(), fault.detail.as_str())).collect();
    let fits = |((at, text), (pointer, detail)): (&(&str, &str), &(&str, &str))| {
        at == pointer && detail.strip_suffix('…').map_or(text == detail, |start| text.starts_with(start))
    };
    assert!(found.len() == expected.len() && found.iter().zip(expected).all(fits), "{document}:\n{found:#?}\n{expected:#?}");
    assert!(parsed.is_none(), "{document}");
}

#[track_caller]
fn check_url_refused(url: &str, part: &str) {
    let mut faults = Faults::default();
    let parsed = Request::parse(&json!({"url": url}), "", ADMIN, &mut faults);
    assert!(
        parsed.is_none() && faults.0.iter().any(|fault| fault.pointer == "/url" && fault.detail.contains(part)),
        "{url}: {faults}"
    );
}

#[test]
fn q1_a_get_request_with_a_query_entry_and_a_header() {
    let document = json!({"method": "GET", "url": "https://api.bank.example/status?id={external_id}",
        "query": [{"name": "s", "value": "{result|map:approved=1,rejected=3,pending=2}"}],
        "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
        "body": {"format": "none"}, "timeout_seconds": 40});
    let expected = "GET https://api.bank.example/status?id=X-77&s=1\nTracking-Delivery-Id: dlv_1\nUser-Agent: tracking-api/0.1.0\n\
        Authorization: Bearer s3cr3t/+\n";
    assert_eq!(sent(&document, "").as_deref(), Ok(expected));
    let request = request(&document);
    assert_eq!(request.document(), document);
    assert_eq!(request.host(), "api.bank.example:443");
    assert_eq!(request.secrets().collect::<Vec<_>>(), ["token"]);
}

#[test]
fn q1_only_a_url_is_needed_and_the_rest_has_defaults() {
    let request = request(&json!({"url": "http://a.example/"}));
    let full = json!({"method": "GET", "url": "http://a.example/", "query": [], "headers": [], "body": {"format": "none"},
        "timeout_seconds": 40});
    assert_eq!(request.document(), full);
    assert_eq!(request.host(), "a.example:80");
    assert_eq!(request.timeout().seconds(), 40);
}

#[test]
fn q1_query_entries_follow_the_urls_own_in_order() {
    let document = |url: &str| {
        json!({"url": url, "query": [{"name": "a b", "value": "x&{pcid}"}, {"name": "{v}", "value": "{voucher|omit_if_empty}"},
            {"name": "z", "value": ""}]})
    };
    let url = |url: &str| in_scope(&event(), None, |scope| request(&document(url)).render(scope)).unwrap().url;
    assert_eq!(url("https://a.example"), "https://a.example/?a%20b=x%26pc-1&z=");
    assert_eq!(url("https://a.example?q=1"), "https://a.example/?q=1&a%20b=x%26pc-1&z=");
    assert_eq!(url("https://a.example/p?"), "https://a.example/p?a%20b=x%26pc-1&z=");
    assert_eq!(url("https://a.example/p?q={value}&"), "https://a.example/p?q=100.00&a%20b=x%26pc-1&z=");
}

#[test]
fn q3_urls() {
    check_url("HTTPS://A.Example:443/p", "https://a.example/p");
    check_url("https://bücher.example:8443/é x", "https://xn--bcher-kva.example:8443/%C3%A9%20x");
    check_url("https://a.example/{affiliate_click_id}/{affiliate_click_id|raw}", "https://a.example/click%201%2F2/click%201/2");
    check_url("https://a.example/?a={voucher|omit_if_empty}&b=1&c={voucher|omit_if_empty}", "https://a.example/?b=1");
    check_url("https://a.example/?a=1&b={voucher|omit_if_empty}", "https://a.example/?a=1");
    check_url("https://a.example/p?a={voucher|omit_if_empty}", "https://a.example/p");
    check_url("https://8.8.8.8/{{x}}", "https://8.8.8.8/%7Bx%7D");
}

#[test]
fn q3_urls_that_are_refused() {
    for (url, part) in [
        ("", "not a URL"),
        ("a.example/x", "not a URL"),
        ("ftp://a.example/", "not a URL"),
        ("https:/a.example/", "not a URL"),
        (" https://a.example/", "not a URL"),
        ("https:///a.example/", "the host is missing"),
        ("https://", "the host is missing"),
        ("https://:443/", "the host is missing"),
        ("https://?a", "the host is missing"),
        ("https://u:p@a.example/", "user info"),
        ("https://a.example\\@b.example/", "a backslash"),
        ("https://a.example/#f", "a fragment"),
        ("{var.url}", "no macro is allowed in the scheme"),
        ("{var.scheme}://a.example/", "no macro is allowed in the scheme"),
        ("https://{var.host}/", "no macro is allowed in the host"),
        ("https://a.{country}.example/", "no macro is allowed in the host"),
        ("https://a.example{pcid}/", "no macro is allowed in the host"),
        ("https://a.example:{var.port|default:1/2}/", "no macro is allowed in the host"),
        ("https://a.example:99999/", "not a host and port"),
        ("https://a b.example/", "not a host and port"),
        ("https://a.example/a/../b", "a segment . or .."),
        ("https://a.example/%2E%2e/b", "a segment . or .."),
        ("https://a.example/{voucher|omit_if_empty}", "in a path there is none"),
        ("https://a\t.example/", "a control character"),
    ] {
        check_url_refused(url, part);
    }
}

#[test]
fn q3_addresses_that_are_not_public_are_refused() {
    for host in [
        "127.0.0.1",
        "127.1",
        "0x7f.1",
        "2130706433",
        "017700000001",
        "0",
        "10.1.2.3",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.0.1",
        "198.18.0.1",
        "198.19.0.1",
        "192.0.2.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "[::]",
        "[::1]",
        "[::ffff:8.8.8.8]",
        "[::8.8.8.8]",
        "[fc00::1]",
        "[fd00:ec2::254]",
        "[fe80::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[64:ff9b::808:808]",
        "[64:ff9b:1::1]",
        "[2002:808:808::]",
        "[2001::1]",
        "[2001:2::1]",
        "[2001:20::1]",
        "[2001:db8::1]",
        "[3fff::1]",
        "[100::1]",
        "[5f00::1]",
        "[2a00::5efe:808:808]",
    ] {
        check_url_refused(&format!("https://{host}/"), "is not a public address");
    }
    for host in ["localhost", "LOCALHOST.", "a.localhost", "%6cocalhost"] {
        check_url_refused(&format!("https://{host}/"), "is this machine itself");
    }
    let local = Allowed { private_targets: true, ..ADMIN };
    for host in ["127.0.0.1:8080", "localhost:8080", "[::1]:8080"] {
        let mut faults = Faults::default();
        let request = Request::parse(&json!({"url": format!("http://{host}/")}), "", local, &mut faults);
        assert_eq!(request.map(|request| request.host().to_owned()).as_deref(), Some(host), "{faults}");
    }
    for public in ["https://8.8.8.8/", "https://172.32.0.1/", "https://100.128.0.1/", "https://[2606:4700::1111]/"] {
        request(&json!({"url": public}));
    }
}

#[test]
fn q3_a_value_never_leads_to_another_path() {
    let document = json!({"url": "https://a.example/api/{click_id|raw}/status?u={click_id}"});
    for hostile in [".", "..", "../x", "x/../../y", "%2e%2E", "..?a"] {
        assert_eq!(sent(&document, hostile), Err(RenderFault::DotSegment), "{hostile}");
    }
    assert!(sent(&document, "a..b").is_ok());
}

#[test]
fn q3_header_names_hold_no_macros_and_rules_set_no_framing_headers() {
    let header = |name: &str| json!({"url": "https://a.example/", "headers": [{"name": name, "value": "x"}]});
    let at = "/request/headers/0/name";
    let not_a_name = "not a header's name: letters, digits and !#$%&'*+-.^_`|~ are allowed, and no macros";
    for bad in ["X {pcid}", "X-{pcid}", "X:", "X\r\nY", "é"] {
        check_faults(&header(bad), &[(at, not_a_name)]);
    }
    check_faults(&header("host"), &[(at, "Host is written by the sending itself: a rule can't set it")]);
    check_faults(
        &header("Transfer-encoding"),
        &[(at, "Transfer-Encoding is written by the sending itself: a rule can't set it")],
    );
    check_faults(
        &header("tracking-delivery-id"),
        &[(at, "every request carries our own tracking-delivery-id: a rule can't set it")],
    );
}

#[test]
fn q4_the_timeout_is_1_to_120_seconds() {
    let timeout = |seconds: Value| json!({"url": "https://a.example/", "timeout_seconds": seconds});
    assert_eq!(request(&timeout(json!(1))).timeout().seconds(), 1);
    assert_eq!(request(&timeout(json!(120))).timeout().seconds(), 120);
    check_faults(&timeout(json!(0)), &[("/request/timeout_seconds", "0 seconds are too few: choose 1 to 120")]);
    check_faults(&timeout(json!(121)), &[("/request/timeout_seconds", "121 seconds are too many: choose 1 to 120")]);
    assert_eq!(super::Timeout::from_seconds(121).unwrap_err().to_string(), "121 seconds are not possible: choose 1 to 120");
}

#[test]
fn q2_all_faults_at_once_with_their_pointers() {
    check_faults(
        &json!({"methd": "GET", "method": "get", "url": "https://{pcid}/{x}",
            "query": [{"name": "a", "value": "ok"}, {"name": "", "value": "ab{pcidd}"}, {"nam": "x", "value": 5}, null],
            "headers": [{"name": "A", "value": "{revenue}"}, {"name": "a", "value": "\n"}],
            "body": {"format": "jsn"}}),
        &[
            ("/request/methd", "unknown field \"methd\"…"),
            ("/request/method", "unknown method \"get\"…"),
            ("/request/url", "character 16: unknown macro {x}: for a parameter of the affiliate's link write {query.x}"),
            ("/request/url", "no macro is allowed in the host or the port: name the receiver, and begin the path with /"),
            ("/request/query/2/nam", "unknown field \"nam\"…"),
            ("/request/query/3", "null is not an object: write {…} with name, value, do_not_send"),
            ("/request/query/1/name", "a name of 0 bytes: 1 to 1024 are allowed"),
            ("/request/query/1/value", "character 3: unknown macro {pcidd}; did you mean {pcid}?"),
            ("/request/query/2/name", "missing: write a name"),
            ("/request/query/2/value", "a number is not a text: write a JSON string"),
            ("/request/query/3/name", "missing: write a name"),
            ("/request/query/3/value", "missing: write a text, which may hold macros such as {transaction_id}"),
            ("/request/headers/0/value", "character 1: {revenue} is for rules of admins only"),
            ("/request/headers/1/name", "the header a occurs twice: keep one of them"),
            (
                "/request/headers/1/value",
                "character 1: a control character, such as a line break: a header's value can't hold one",
            ),
            ("/request/body/format", "unknown format \"jsn\"…"),
        ],
    );
    check_faults(&json!({}), &[("/request/url", "missing: write a text, which may hold macros such as {transaction_id}")]);
    check_faults(
        &json!([]),
        &[
            ("/request", "a list is not an object: write {…} with method, url, query, headers, body, timeout_seconds"),
            ("/request/url", "missing: write a text, which may hold macros such as {transaction_id}"),
        ],
    );
}

#[test]
fn q1_limits() {
    let many = |n: usize| (0..n).map(|i| json!({"name": format!("n{i}"), "value": ""})).collect::<Vec<_>>();
    let url = "https://a.example/";
    request(&json!({"url": url, "query": many(50), "headers": many(20)}));
    check_faults(
        &json!({"url": url, "query": many(51), "headers": many(21)}),
        &[("/request/query", "51 are too many: 50 are allowed"), ("/request/headers", "21 are too many: 20 are allowed")],
    );
    let long = "x".repeat(16_384 - url.len());
    request(&json!({"url": format!("{url}{long}")}));
    check_faults(&json!({"url": format!("{url}{long}y")}), &[("/request/url", "16385 bytes are too many: 16384 are allowed")]);
}

#[test]
fn q5_a_rendered_request_hides_its_values() {
    let document = json!({"url": "https://a.example/{secret.token}", "headers": [{"name": "A", "value": "{secret.token}"}]});
    let shown = in_scope(&event(), None, |scope| format!("{:?}", request(&document).render(scope)));
    assert!(shown.contains("\"A\"") && !shown.contains("s3cr3t"), "{shown}");
}

#[test]
fn a2_a_parameter_of_the_request_that_was_sent() {
    assert_eq!(parameter("https://a.example/?a=1&b=x%26y&b=2", "b").as_deref(), Some("x&y"));
    assert_eq!(parameter("https://a.example/?a=1", "b"), None);
}

#[test]
fn signatures_follow_standard_webhooks() {
    let now = jiff::Timestamp::from_second(1_614_265_330).unwrap();
    // The example in the Standard Webhooks libraries.
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let signed = Signing::standard(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", now, br#"{"test": 2432232314}"#);
    assert_eq!(
        signed,
        [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned()),
            ("webhook-timestamp", "1614265330".to_owned()),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned()),
        ]
    );
    let mut faults = Faults::default();
    let signing = Signing::parse(&json!({"secret": "token"}), "/signing", ADMIN, &mut faults).unwrap();
    assert_eq!((signing.secret(), signing.document()), ("token", json!({"secret": "token"})));
    assert!(Signing::parse(&json!({}), "/signing", ADMIN, &mut faults).is_none());
    assert_eq!(faults, Faults::one("/signing/secret", "missing: name a secret of the rule"));
}

#[test]
fn case_b5_a_user_agent_of_the_rule_replaces_ours() {
    let agents = |headers: Value| {
        let sent = sent(&json!({"url": "https://a.example/", "headers": headers}), "").unwrap();
        let lines = sent.lines().filter(|line| line.to_ascii_lowercase().starts_with("user-agent"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(agents(json!([{"name": "User-Agent", "value": "Mozilla/5.0"}])), ["User-Agent: Mozilla/5.0"]);
    assert_eq!(agents(json!([{"name": "user-agent", "value": "{user_agent}"}])), ["user-agent: Mozilla/5.0 (X11)"]);
    let ours = ["User-Agent: tracking-api/0.1.0"];
    assert_eq!(agents(json!([{"name": "User-Agent", "value": "{voucher|omit_if_empty}"}])), ours);
    assert_eq!(agents(json!([])), ours);
}

#[test]
fn case_b9_a_header_that_cant_be_sent_is_named_with_what_it_holds() {
    let document = json!({"url": "https://a.example/", "headers": [{"name": "X-Ok", "value": "1"}, {"name": "Authorization", "value": "Bearer {secret.token}"}]});
    let secrets = std::collections::BTreeMap::from([("token".to_owned(), "a\nb".to_owned())]);
    let fault = in_scope(&event(), None, |scope| {
        let scope = crate::template::Scope { secrets: &secrets, steps: scope.steps.clone(), ..*scope };
        request(&document).render(&scope).unwrap_err()
    });
    let detail = "the header Authorization can't be sent: {secret.token} holds a control character, such as a line break";
    assert_eq!(fault.to_string(), detail);
    let header = |value: &str| json!({"url": "https://a.example/", "headers": [{"name": "X-Sub", "value": value}]});
    for text in ["{click_id}", "-{click_id|raw}", "{click_id|suffix:x}"] {
        let detail = "the header X-Sub can't be sent: {affiliate_click_id} holds a control character, such as a line break";
        assert_eq!(sent(&header(text), "a\r\nX: y").unwrap_err().to_string(), detail);
    }
}
