use std::collections::{BTreeMap, BTreeSet};

use super::{Macro, catalogue, modifiers};
use crate::{
    answer::Response,
    change::Change,
    json,
    template::{Allowed, At, Bound, Place, Reach, Scope, Steps, Template},
    testing,
};

const ALL: Allowed = Allowed { admin: true, answer: true, private_targets: false, stored: false };

#[test]
fn q2_every_name_and_alias_of_the_domain_is_in_the_catalogue() {
    let names = "pcid pldk_conversion_id conversion_id transaction_id external_id advertiser_custom_id commission_id event_id \
        delivery_id tracking_api_id affiliate_id affiliate_click_id affiliateClickId click_id affs1 affs2 affs3 affs4 affs5 affs6 \
        affs7 affs8 affs9 affs10 sub1 sub2 sub3 sub4 sub5 sub6 sub7 sub8 sub9 sub10 voucher promo_code offer_id offer_name \
        advertiser_id advertiser_name channel_id channel integration_id source country conversion_type type goal value amount \
        sale_amount currency ip user_agent transaction_type result status previous_result payout sum payout_currency revenue event \
        is_final is_correction attempt step step_attempt is_test click_at conversion_at date updated_at result_at event_at now timestamp query.<key> \
        cookie.<key> secret.<name> var.<name> steps.<name>.body.<key> callback_url callback_url.<step> uuid random query_sorted body.<path> body header.<name> http_code";
    let expected: BTreeSet<&str> = names.split_whitespace().collect();
    let all = catalogue().iter().flat_map(|row| std::iter::once(row.name).chain(row.aliases.iter().copied()));
    let all: Vec<&str> = all.collect();
    assert_eq!(all.len(), expected.len(), "a name occurs twice");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn q2_every_name_parses_to_its_macro() {
    for row in catalogue() {
        if !row.name.contains('<') {
            for name in std::iter::once(&row.name).chain(row.aliases) {
                assert_eq!(Macro::parse(name, ALL).map(|found| found.name()).as_deref(), Ok(row.name));
            }
        }
    }
    for name in ["query.a.b|c", "cookie.x", "secret.t", "var.v", "body.a[0].b", "header.x-y"] {
        assert_eq!(Macro::parse(name, ALL).map(|found| found.name()).as_deref(), Ok(name));
    }
}

#[test]
fn v3_revenue_alone_is_for_admins() {
    let admins: Vec<&str> = catalogue().iter().filter(|row| row.admins_only).map(|row| row.name).collect();
    assert_eq!(admins, ["revenue"]);
    let answers: Vec<&str> = catalogue().iter().filter(|row| row.answer_only).map(|row| row.name).collect();
    assert_eq!(answers, ["body.<path>", "body", "header.<name>", "http_code"]);
}

#[test]
fn q2_the_modifiers_are_those_of_the_domain() {
    let names: Vec<&str> = modifiers().iter().map(|row| row.name).collect();
    let expected = "default map date date_add unix unixms number cents add subtract times divide lower upper trim urlencode urldecode json hex base64 base64decode md5 sha1 \
        sha256 sha512 hmac_sha1 hmac_sha256 hmac_sha512 replace regex first prefix suffix raw omit_if_empty";
    assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
}

#[test]
fn the_catalogue_is_served_as_json() {
    let row = catalogue().iter().find(|row| row.name == "revenue").unwrap();
    assert_eq!(
        json!(row),
        crate::json!({"name": "revenue", "aliases": [], "group": "transaction", "description": "What the platform gets.",
            "example": "{revenue}", "gives": "8.00", "admins_only": true, "answer_only": false})
    );
}

/// The text that a template prints about the example event with every field set.
fn printed(text: &str) -> String {
    let mut detail = testing::detail();
    let conversion = &mut detail["conversion"];
    conversion["voucher"] = json!("WINTER10");
    conversion["affs"] = (1..=10).map(|number| (format!("affs{number}"), json!("summer"))).collect::<json::Map>().into();
    conversion["query_params"] = json!({"utm_source": "mail", "name": " Jana ", "email": "Jana@Example.com", "back": "%2Fcart?id=5", "blob": "aGVsbG8=", "path": "a/b"});
    let change = Change::parse_detail(&detail, "").unwrap();
    let event = change.events().into_iter().find(|event| event.kind.is_transaction()).unwrap();
    let texts =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>();
    let headers = vec![("X-Request-Id".to_owned(), "req-7".to_owned())];
    let answer = Response::new(200, headers, br#"{"items": [{"id": "L-1"}]}"#.to_vec());
    let none = Reach::default();
    let (variables, currencies) = (BTreeMap::new(), BTreeMap::new());
    let bound = Bound { variables, currencies, query_sorted: "a=1&b=2".to_owned(), secret: &none };
    let scope = Scope {
        event: &event,
        delivery_id: "dlv_01h455vb4pex",
        tracking_api_id: "trk_1",
        attempt: 1,
        at: At { step: "status", run: 1, attempt: 1 },
        is_test: false,
        masks: false,
        now: "2026-11-22T09:00:01Z".parse().unwrap(),
        secrets: &texts(&[("token", "s3cr3t"), ("key", "key")]),
        variables: &texts(&[
            ("ticket", "T-5"),
            ("steps.create.body.id", "L-17"),
            ("callback_url.", "https://tracking.example/callbacks/ZGx2X…"),
            ("callback_url.confirm", "https://tracking.example/callbacks/ZGx2X…"),
        ]),
        answer: Some(&answer),
        bound: Some(&bound),
        steps: Steps::default(),
    };
    let mut out = String::new();
    Template::parse(text, Place::Plain, ALL).unwrap().render(&scope, &mut out).unwrap();
    out
}

#[test]
fn q2_every_example_of_a_macro_gives_what_the_catalogue_says() {
    for row in catalogue() {
        let name = row.name.split_once('.').map_or(row.name, |(family, _)| family);
        assert!(row.example.starts_with(&format!("{{{name}")) && !row.gives.is_empty(), "{}", row.name);
        assert_eq!(printed(row.example), row.gives, "{}", row.example);
    }
}

#[test]
fn q2_every_example_of_a_modifier_gives_what_the_catalogue_says() {
    for row in modifiers() {
        let uses = [format!("|{}", row.name)].iter().any(|used| row.example.contains(used.as_str()));
        assert!(uses, "{}", row.name);
        assert_eq!(printed(row.example), row.gives, "{}", row.example);
    }
}
