//! The target `claims`: any bytes as a token, and any claims with a valid signature.

use aws_lc_rs::hmac;
use axum::{
    body::Body,
    http::{HeaderValue, Request, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tracking_core::json::{self, Value};

use super::{
    parts::Parts,
    site::{KEY, Site, now, on_site},
};

const HEADER: &str = r#"{"typ":"JWT","alg":"HS256"}"#;

/// Calls the API with any text as the `Authorization` header, with any token, or with any claims that its own key signed. Only suitable
/// claims let a caller in, and only as the caller that they name.
pub fn claims(data: &[u8]) {
    let mut parts = Parts::of(data);
    match parts.choice() % 4 {
        0 => unsigned(parts.rest()),
        1 => unsigned(&[b"Bearer ", parts.rest()].concat()),
        2 => signed(HEADER.as_bytes(), parts.rest()),
        _ => signed(parts.bytes(), parts.rest()),
    }
}

/// Checks that a header without a signature lets no caller in.
fn unsigned(header: &[u8]) {
    if !is_ours(header) {
        let status = on_site(|site| ask(site, "/deliveries/none", header));
        assert!(status.is_none_or(|status| status == StatusCode::UNAUTHORIZED), "{status:?}");
    }
}

/// Returns true if the header holds a token with a signature of our key: an input may be one.
fn is_ours(header: &[u8]) -> bool {
    let text = String::from_utf8_lossy(header);
    let token = text.split_once(' ').map_or("", |(_, token)| token.trim());
    let Some((message, signature)) = token.rsplit_once('.') else { return false };
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), message.as_bytes(), &signature).is_ok()
}

fn signed(header: &[u8], claims: &[u8]) {
    let message = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(header), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &KEY), message.as_bytes());
    let token = format!("Bearer {message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature));
    on_site(|site| {
        let status = ask(site, "/deliveries/none", token.as_bytes()).expect("a token can be sent");
        match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {}
            StatusCode::NOT_FOUND => let_in(site, header, claims, token.as_bytes()),
            status => panic!("{status} for {:?}", String::from_utf8_lossy(claims)),
        }
    });
}

/// Checks the claims of a caller who was let in: the required ones are there, and the caller sees only what they allow.
fn let_in(site: &Site, header: &[u8], claims: &[u8], token: &[u8]) {
    let header = json::parse_lenient(header).expect("the header is JSON");
    assert_eq!(header["alg"], "HS256");
    let claims = json::parse_lenient(claims).expect("the claims are JSON");
    assert!(names(&claims["iss"], "tracking-local"), "of others: {claims}");
    assert!(names(&claims["aud"], "tracking-api"), "for others: {claims}");
    let second = |claim: &Value| if let Value::Number(number) = claim { number.as_str().parse::<f64>().ok() } else { None };
    let now = f64::from(i32::try_from(now().as_second()).expect("the time of the tests is before 2038"));
    assert!(second(&claims["exp"]).is_some_and(|expires| expires > now), "expired: {claims}");
    assert!(claims.get("nbf").is_none_or(|begins| second(begins).is_some_and(|begins| begins <= now)), "not yet: {claims}");
    let sees = |rule: &str| ask(site, &format!("/tracking-apis/{rule}"), token) == Some(StatusCode::OK);
    let is_affiliate = |id: &str| claims["affiliate_id"] == id;
    let (admins, affiliates) = match claims["role"].as_str() {
        Some("admin") => (true, true),
        Some("affiliate") => (false, is_affiliate("aff_7")),
        _ => panic!("nobody was let in: {claims}"),
    };
    assert_eq!((sees(&site.admins_rule), sees(&site.affiliates_rule)), (admins, affiliates), "{claims}");
}

/// Returns true if a claim is this text or a list that holds it.
fn names(claim: &Value, name: &str) -> bool {
    *claim == name || claim.as_array().is_some_and(|all| all.iter().any(|one| *one == name))
}

/// Returns the status of a GET with this `Authorization` header; `None` if no header can hold it.
fn ask(site: &Site, path: &str, header: &[u8]) -> Option<StatusCode> {
    let value = HeaderValue::from_bytes(header).ok()?;
    let request = Request::get(path).header("authorization", value).body(Body::empty()).ok()?;
    let (status, answer): (StatusCode, Value) = site.send(request);
    assert!(!status.is_server_error(), "{status} {answer}");
    Some(status)
}
