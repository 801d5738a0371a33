//! The API itself: its liveness, and this description.

use serde_json::json;

use crate::{openapi::about::About, problem::Kind};

const TAG: &str = "Service";

pub(crate) fn alive() -> About {
    About::new("checkHealth", TAG, "Check that the server runs", "For monitoring; needs no token.")
        .answers(200, "The server runs", "Liveness", json!({"status": "ok"}))
        .without_store()
}

pub(crate) fn openapi() -> About {
    About::new("readDescription", TAG, "This description", "OpenAPI 3.1.")
        .answers(
            200,
            "The description",
            "Description",
            json!({"openapi": "3.1.0", "info": {"title": "Tracking API", "version": "0.1.0"}, "paths": {}}),
        )
        .gives(Kind::BadRequest, "The query has faults: this path takes no parameters.")
        .without_store()
}
