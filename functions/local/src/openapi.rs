//! `tracking openapi`: the description of the API.

use tracking_embedded::Store;

use crate::edge;

/// Prints the description of the API (`OpenAPI` 3.1) as it is everywhere; a local server has two operations more, POST /events and
/// GET /bus/events, which its own `/openapi.json` tells too.
pub fn openapi() {
    edge::result(&format!("{:#}", tracking_api::description::<Store>()));
}
