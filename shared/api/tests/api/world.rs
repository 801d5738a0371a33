//! A small world of things that can be asked for, or broken.

use serde_json::json;

use crate::support::{ADMIN, Api};

/// A rule with a secret, a delivery about a sale of `aff_a`'s, an event that was rejected, a replay that runs, and a receiver that failed.
pub(crate) struct World {
    pub(crate) api: Api,
    pub(crate) rule: String,
    delivery: String,
    rejected: String,
    replay: String,
    receiver: String,
}

impl World {
    /// A world whose rule this caller made for itself.
    pub(crate) async fn of(owner: &str) -> Self {
        let api = Api::new();
        let rule = api.rule(owner, "R", json!({"secret_values": {"token": "t0ken"}})).await;
        api.sale(1, "aff_a").await;
        api.accept(b"no json").await;
        let delivery = api.get(owner, "/deliveries").await.each("id")[0].to_owned();
        let rejected = api.get(ADMIN, "/events/rejected").await.each("id")[0].to_owned();
        let period = json!({"from": "2026-11-22T00:00:00Z", "to": "2026-11-23T00:00:00Z", "dry_run": false});
        let begun = api.call(owner, &format!("POST /tracking-apis/{rule}/replay"), period).await;
        let replay = begun.body["id"].as_str().expect("it has begun").to_owned();
        let receiver = api.get(owner, "/receivers").await.each("id")[0].to_owned();
        Self { api, rule, delivery, rejected, replay, receiver }
    }

    /// The line with the names of existing things, or of missing ones.
    pub(crate) fn about(&self, line: &str, existing: bool) -> String {
        let (_, path) = line.split_once(' ').expect("a method and a path");
        let (own, none) = match path.split('/').nth(1).unwrap_or_default() {
            "tracking-apis" => (self.rule.as_str(), "trk_none"),
            "deliveries" => (self.delivery.as_str(), "dlv_0123456789abcdefghjkmnpqrstvwxyz"),
            "replays" => (self.replay.as_str(), "rpl_01763802000000none"),
            "receivers" => (self.receiver.as_str(), "rcv_none"),
            "conversions" => ("cnv_1", "cnv_none"),
            "affiliates" => ("aff_a", "aff_none"),
            "events" => (self.rejected.as_str(), "01763802000000-0000000000"),
            "offers" => ("off_5", "off_none"),
            _ => ("", ""),
        };
        let line = line.replace("{id}", if existing { own } else { none });
        line.replace("{name}", "token").replace("{version}", "1")
    }
}
