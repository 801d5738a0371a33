use axum::{
    body::to_bytes,
    http::{
        Method, Request, Response,
        header::{HeaderMap, HeaderName},
    },
};
use tower::ServiceExt as _;

use super::*;
use crate::auth::ClaimNames;

const STRICT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'; connect-src 'self'";

fn issuer(issuer: &str, origins: &str) -> Console {
    let sign_in = SignIn {
        issuer: issuer.to_owned(),
        client_id: "console".to_owned(),
        scopes: "openid profile".to_owned(),
        origins: origins.to_owned(),
    };
    Console { sign_in: Some(sign_in), claims: ClaimNames { role: "custom:role".to_owned(), ..ClaimNames::default() } }
}

/// The response of a console to a GET with one more header.
async fn ask(console: &Console, path: &str, header: (&str, &str)) -> (u16, HeaderMap, Vec<u8>) {
    let request = Request::builder().uri(path).header(header.0, header.1).body(Body::empty()).unwrap();
    let (parts, body) = routes(console).oneshot(request).await.unwrap().into_parts();
    (parts.status.as_u16(), parts.headers, to_bytes(body, usize::MAX).await.unwrap().to_vec())
}

async fn get_plain(path: &str) -> (u16, HeaderMap, Vec<u8>) {
    ask(&Console::default(), path, ("accept", "*/*")).await
}

#[track_caller]
fn header<'a>(headers: &'a HeaderMap, name: &'static str) -> &'a str {
    headers.get(HeaderName::from_static(name)).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn every_page_of_the_app_is_its_index() {
    for path in ["/console", "/console/", "/console/deliveries", "/console/rules/trk_1/edit", "/console/signed-in"] {
        let (status, headers, body) = get_plain(path).await;
        assert_eq!((status, header(&headers, "content-type")), (200, "text/html; charset=utf-8"), "{path}");
        assert_eq!(header(&headers, "cache-control"), "no-cache");
        let text = String::from_utf8(body).unwrap();
        assert!(text.contains("<div id=\"root\">"), "{text}");
        assert!(!text.contains("<script>") && !text.contains("<style") && !text.contains("style="), "nothing is inline: {text}");
        assert!(!text.contains("http://") && !text.contains("https://"), "no other host is named: {text}");
    }
}

#[tokio::test]
async fn every_answer_protects_its_reader() {
    for path in ["/console", "/console/deliveries", "/console/icon.svg", "/console/config.json"] {
        let (_, headers, _) = get_plain(path).await;
        for (name, value) in [
            ("content-security-policy", STRICT),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(header(&headers, name), value, "{path}");
        }
    }
}

#[tokio::test]
async fn hashed_files_are_kept_for_ever_and_each_has_its_type() {
    for file in FILES {
        let (status, headers, body) = get_plain(&format!("/console/{}", file.name)).await;
        assert_eq!(status, 200, "{}", file.name);
        assert_ne!(header(&headers, "content-type"), "application/octet-stream", "{} has no type of its own", file.name);
        let kept = header(&headers, "cache-control") == "public, max-age=31536000, immutable";
        assert_eq!(kept, file.name.starts_with("assets/"), "{}", file.name);
        let (_, headers, packed) =
            ask(&Console::default(), &format!("/console/{}", file.name), ("accept-encoding", "br, gzip")).await;
        assert_eq!((header(&headers, "content-encoding"), header(&headers, "vary")), ("gzip", "accept-encoding"));
        let mut inflated = Vec::new();
        GzDecoder::new(packed.as_slice()).read_to_end(&mut inflated).unwrap();
        assert_eq!(inflated, body, "{}", file.name);
    }
}

#[tokio::test]
async fn a_client_that_has_the_file_gets_no_content() {
    let (_, headers, _) = get_plain("/console").await;
    let (status, again, body) = ask(&Console::default(), "/console", ("if-none-match", header(&headers, "etag"))).await;
    assert_eq!((status, body.len()), (304, 0));
    assert_eq!(header(&again, "content-security-policy"), STRICT);
}

#[tokio::test]
async fn what_is_no_file_is_a_problem() {
    for path in
        ["/console/assets/index-00000000.js", "/console/assets/x", "/console/..%2f..%2fCargo.toml", "/console/favicon.ico"]
    {
        let (status, headers, _) = get_plain(path).await;
        assert_eq!((status, header(&headers, "content-type")), (404, "application/problem+json"), "{path}");
    }
    let post = Request::builder().method(Method::POST).uri("/console").body(Body::empty()).unwrap();
    let answer: Response<Body> = routes(&Console::default()).oneshot(post).await.unwrap();
    assert_eq!(answer.status(), 405);
}

#[tokio::test]
async fn gzip_is_sent_to_those_who_take_it() {
    for (accepted, takes) in [("gzip", true), ("br, GZIP;q=0.5", true), ("gzip;q=0", false), ("br", false), ("", false)] {
        let (_, headers, _) = ask(&Console::default(), "/console", ("accept-encoding", accepted)).await;
        assert_eq!(headers.contains_key(CONTENT_ENCODING), takes, "{accepted}");
    }
}

#[tokio::test]
async fn the_app_reads_where_people_sign_in() {
    let (_, _, none) = get_plain("/console/config.json").await;
    let none: serde_json::Value = serde_json::from_slice(&none).unwrap();
    assert_eq!(none, serde_json::json!({"sign_in": null, "role_claim": "role", "affiliate_claim": "affiliate_id"}));
    let console = issuer("https://issuer.example/pool", "https://login.example:8443/oauth2 https://login.example");
    let (_, headers, config) = ask(&console, "/console/config.json", ("accept", "*/*")).await;
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap();
    let sign_in =
        serde_json::json!({"issuer": "https://issuer.example/pool", "client_id": "console", "scopes": "openid profile"});
    assert_eq!(config, serde_json::json!({"sign_in": sign_in, "role_claim": "custom:role", "affiliate_claim": "affiliate_id"}));
    let policy = format!("{STRICT} https://issuer.example https://login.example:8443 https://login.example");
    assert_eq!(header(&headers, "content-security-policy"), policy);
}

#[tokio::test]
async fn a_setting_adds_no_other_rule_to_the_policy() {
    for hostile in
        ["https://x; script-src *", "https://*", "https://x' 'unsafe-inline'", "data:text/html,x", "https://", "https://x\nx"]
    {
        let (_, headers, _) = ask(&issuer(hostile, ""), "/console", ("accept", "*/*")).await;
        assert_eq!(header(&headers, "content-security-policy"), STRICT, "{hostile}");
    }
}
