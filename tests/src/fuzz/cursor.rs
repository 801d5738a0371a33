//! The target `cursor`: any text in place of the cursors and ids that lists return to clients.
//!
//! The target asks the API itself. No text of a client causes a fault of ours, shows an affiliate another's rows, or leads to a page whose
//! own cursor the API refuses.

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use tracking_core::json::Value;
use url::form_urlencoded::byte_serialize;

use super::{
    parts::Parts,
    site::{Site, on_site},
};

/// Asks the lists and the paths with an id for any text. The first part chooses the path, the second one the caller.
pub fn cursor(data: &[u8]) {
    let mut parts = Parts::of(data);
    let (place, who) = (parts.choice(), parts.choice());
    let given = parts.rest();
    on_site(|site| {
        let token = [&site.admin, &site.affiliate, &site.stranger][who % 3];
        let text: String = byte_serialize(given).collect();
        let packed = BASE64_URL_SAFE_NO_PAD.encode(given);
        match place % 10 {
            0 => list(site, token, &format!("/deliveries?limit=1&cursor={packed}")),
            1 => list(site, token, &format!("/deliveries?tracking_api_id={}&cursor={packed}", site.affiliates_rule)),
            2 => list(site, token, &format!("/deliveries?conversion_id=cnv_1&limit=1&cursor={packed}")),
            3 => list(site, token, &format!("/deliveries?cursor={text}")),
            4 => list(site, token, &format!("/tracking-apis/{}/history?limit=1&cursor={text}", site.affiliates_rule)),
            5 => list(site, token, &format!("/tracking-apis?limit=1&cursor={text}")),
            6 => list(site, token, &format!("/events/rejected?limit=1&cursor={text}")),
            7 => list(site, token, &format!("/conversions/cnv_1/explain?limit=1&cursor={text}")),
            8 => resubmit(site, token, &text.replace('+', "%20")),
            _ => delivery(site, token, &text.replace('+', "%20")),
        }
    });
}

/// Asks for a page, and for the page of its cursor.
fn list(site: &Site, token: &str, path: &str) {
    let (status, page) = site.get(token, path);
    assert!(allowed(status), "{path}: {status} {page}");
    if status != StatusCode::OK {
        return;
    }
    shows_its_own(site, token, path, &page);
    if let Some(next) = page["next_cursor"].as_str() {
        let (path, _) = path.split_once("cursor=").expect("every list is asked with a cursor");
        let path = format!("{path}cursor={}", byte_serialize(next.as_bytes()).collect::<String>());
        let (status, page) = site.get(token, &path);
        assert_eq!(status, StatusCode::OK, "{path}: {page}");
        shows_its_own(site, token, &path, &page);
    }
}

/// Checks that an affiliate without rules sees none, and that another affiliate doesn't see the admin's rule.
fn shows_its_own(site: &Site, token: &str, path: &str, page: &Value) {
    if token == site.stranger {
        assert_eq!(page["items"].as_array().map(Vec::len), Some(0), "{path}: {page}");
    }
    if token == site.affiliate {
        assert!(!page.to_string().contains(&site.admins_rule), "{path}: {page}");
    }
}

/// Checks that a rejected event stays rejected, by whatever id it is asked for.
fn resubmit(site: &Site, token: &str, id: &str) {
    let request = Request::post(format!("/events/rejected/{id}/resubmit")).header("authorization", format!("Bearer {token}"));
    let Ok(request) = request.body(Body::empty()) else { return };
    let (status, body) = site.send(request);
    assert!(allowed(status) && status != StatusCode::OK, "{id}: {status} {body}");
}

fn delivery(site: &Site, token: &str, id: &str) {
    let (status, body) = site.get(token, &format!("/deliveries/{id}"));
    assert!(allowed(status), "{id}: {status} {body}");
    assert!(token != site.stranger || status != StatusCode::OK, "{id}: {body}");
}

/// Returns true for the allowed answers to a client's text: never a fault of ours.
fn allowed(status: StatusCode) -> bool {
    status == StatusCode::OK || status.is_client_error()
}
