//! `tracking openapi`: the description of the API.

use tracking_embedded::Store;

use crate::edge;

/// Prints the description of the API (`OpenAPI` 3.1) without the two operations that only a local server has: POST /events and GET
/// /bus/events. The server's own `/openapi.json` describes these too.
pub fn openapi() {
    edge::result(&format!("{:#}", tracking_http_api::description::<Store>()));
}
