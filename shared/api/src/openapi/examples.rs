//! One small world in which all examples play: a bank's status API, an affiliate's postback, one sale.

use serde_json::{Value, json};

/// The rule of the examples.
pub(crate) const RULE: &str = "trk_01k9abc";
/// A delivery of it.
pub(crate) const DELIVERY: &str = "dlv_0123456789abcdefghjkmnpqrstvwxyz";
/// A rejected event.
pub(crate) const REJECTED: &str = "01763802000000-9f86d08188";
/// A receiver of the rule.
pub(super) const RECEIVER: &str = "rcv_0123456789abcdefghjkmnpq";
/// A replay of the rule.
pub(crate) const REPLAY: &str = "rpl_01763812800000k3v9x0m2qa";
/// A cursor of the log.
pub(crate) const CURSOR: &str = "eyJhZnRlciI6bnVsbCwicGFnZXMiOm51bGx9";

const NOON: &str = "2026-11-22T12:00:00Z";

pub(super) fn new_rule() -> Value {
    json!({
        "name": "Bank status",
        "trigger": "transaction_all",
        "conditions": {"source": ["link"], "conversion_type": ["sale", "custom:signup"], "advertiser": ["adv_2"], "included_offers": ["off_5"]},
        "request": {
            "method": "GET",
            "url": "https://api.bank.example/status?id={external_id}",
            "query": [{"name": "s", "value": "{result|map:approved=1,rejected=3,pending=2}"}],
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
        },
        "answer": {
            "rules": [
                {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "approved|accepted"}],
                 "then": "delivered", "set": {"result": "approved", "payout": "{body.payout}"}},
                {"when": [{"source": "body", "key": "status", "operator": "equals", "value": "pending"}], "then": "pending"},
            ],
            "otherwise": "retry",
        },
        "secret_values": {"token": "t0ken"},
    })
}

pub(super) fn rule() -> Value {
    json!({
        "id": RULE, "name": "Bank status", "active": true, "version": 4, "owner": {"kind": "admin"}, "trigger": "transaction_all",
        "conditions": {
            "source": ["link"], "conversion_type": ["sale", "custom:signup"], "affiliate": [], "advertiser": ["adv_2"],
            "integration": [], "channel": [], "included_offers": ["off_5"], "excluded_offers": [], "result": "not_chosen", "commission": [],
        },
        "request": {
            "method": "GET", "url": "https://api.bank.example/status?id={external_id}",
            "query": [{"name": "s", "value": "{result|map:approved=1,rejected=3,pending=2}"}],
            "headers": [{"name": "Authorization", "value": "Bearer {secret.token}"}],
            "body": {"format": "none"}, "timeout_seconds": 40,
        },
        "retry": {"max_retries": 12, "delay_seconds": 60, "backoff": "exponential", "max_delay_seconds": 3_600},
        "answer": {"rules": [], "otherwise": "retry"}, "delay": {"mode": "none"}, "country": "CZ", "category": "loans",
        "secrets": ["token"], "created_at": "2026-11-20T09:00:00Z", "updated_at": NOON,
    })
}

pub(super) fn affiliate_rule() -> Value {
    let mut rule = rule();
    rule["owner"] = json!({"kind": "affiliate", "affiliate_id": "aff_7"});
    rule["conditions"]["affiliate"] = json!(["aff_7"]);
    rule
}

pub(super) fn event() -> Value {
    json!({
        "change_id": "chg_0001", "occurred_at": NOON,
        "conversion": {
            "conversion_id": "cnv_1", "version": 1, "change": "created", "type": "sale", "source": "link", "affiliate_id": "aff_7",
            "advertiser_id": "adv_2", "offer_id": "off_5", "external_id": "X-77", "value": "100.00", "currency": "EUR",
            "affs": {"affs1": "summer"},
        },
        "transactions": [{"transaction_id": "trx_1", "result": "approved", "payout": "5.00", "currency": "EUR"}],
    })
}

pub(super) fn envelope() -> Value {
    json!({"source": "platform.conversions", "detail-type": "Conversion Changed", "time": NOON, "detail": event()})
}

pub(super) fn delivery() -> Value {
    json!({
        "id": DELIVERY, "tracking_api_id": RULE, "owner": {"kind": "admin"}, "change_id": "chg_0001", "event": "transaction_created",
        "conversion_id": "cnv_1", "transaction_id": "trx_1", "affiliate_id": "aff_7", "state": "waiting",
        "reason": "the receiver answered 503", "attempts": 1, "max_attempts": 13, "next_due": "2026-11-22T12:01:02Z", "is_final": true,
        "is_correction": false, "created_at": NOON, "ended_at": null, "offer_id": "off_5", "click_id": "click 1/2", "external_id": "X-77",
        "result": "approved", "payout": "5.00", "currency": "EUR", "http_status": 503, "duration_ms": 12, "step": null,
    })
}

pub(super) fn replay() -> Value {
    json!({
        "id": REPLAY, "tracking_api_id": RULE, "owner": {"kind": "admin"}, "kind": "replay", "state": "running", "reason": null,
        "from": "2026-11-22T00:00:00Z", "to": "2026-11-22T12:00:00Z", "states": ["failed"], "force": false,
        "begun_at": NOON, "ended_at": null,
        "counts": {"expected": 420, "expected_complete": true, "looked_at": 150, "deliveries": 150, "held": 0},
    })
}

pub(super) fn receiver() -> Value {
    json!({
        "id": RECEIVER, "owner": {"kind": "admin"}, "scheme": "https", "host": "api.bank.example:443", "state": "open", "since": NOON,
        "down_since": NOON, "waiting": 42, "next_probe": "2026-11-22T12:00:30Z", "last_error": "no answer within 40 s",
    })
}

pub(super) fn statistics() -> Value {
    json!({
        "buckets": [
            {"at": "2026-11-22T11:00:00Z", "counts": {}, "latency_ms": {"p50": null, "p95": null, "p99": null}},
            {"at": NOON, "counts": {"delivered": 118, "waiting": 2}, "latency_ms": {"p50": 248, "p95": 496, "p99": 61_440}},
        ],
        "complete": true,
    })
}

/// Deliveries as CSV.
pub(super) const CSV: &str = "id,tracking_api_id,owner,change_id,event,conversion_id,transaction_id,affiliate_id,state,reason,…\r\n\
dlv_0123456789abcdefghjkmnpqrstvwxyz,trk_01k9abc,admin,chg_0001,transaction_created,cnv_1,trx_1,aff_7,failed,failed: status 404,…\r\n";

pub(super) fn internals() -> Value {
    let due = "2026-11-22T12:01:02Z";
    let entry = json!({
        "id": DELIVERY, "is_this": true, "version": 1, "rank": 0, "attempts": 1, "base": 0, "instruction": null,
        "claim": {"lease_until": "2026-11-22T12:00:55Z", "incarnation": 3, "is_live": false, "is_shared": false},
        "parked_until": null, "slot": null, "returns": null, "state": "waiting", "recorded": 1, "behind": null,
    });
    json!({
        "id": DELIVERY, "at": "2026-11-22T12:00:10Z", "cause": "retry", "until": due,
        "why": format!("Attempt 1 ended with: retry: status 503; attempt 2 is due at {due}"),
        "tracking_api_id": RULE, "subject": "transaction:trx_1",
        "row": {
            "revision": 1, "state": "waiting", "reason": "retry: status 503", "attempts": 1, "base": 0, "max_attempts": 13, "next_due": due,
            "waits_since": null, "pending": false, "epoch": 0, "was_held": false, "after": null, "owner": {"kind": "admin"},
            "change_id": "chg_0001", "event": "transaction_created", "conversion_id": "cnv_1", "version": 1, "created_at": NOON,
            "ended_at": null, "outbox": null,
        },
        "rule": {
            "version": 4, "epoch": 0, "live": true, "sends": true, "unbound_secrets": [], "max_attempts": 13, "timeout_seconds": 40,
            "rate_per_second": null,
        },
        "subject_queue": {"revision": 1, "head": 1, "entries": [entry]}, "hold": null, "due_rows": [], "rate": null,
        "swept_until": NOON, "unreadable": [],
    })
}

pub(super) fn cancelled() -> Value {
    let mut delivery = delivery();
    delivery["state"] = "cancelled".into();
    delivery["reason"] = "stopped by a person".into();
    (delivery["next_due"], delivery["ended_at"]) = (Value::Null, "2026-11-22T12:00:30Z".into());
    delivery
}

pub(super) fn delivery_with_log() -> Value {
    let mut delivery = delivery();
    delivery["log"] = json!([{
        "attempt": 1, "step": null, "run": null, "at": NOON, "duration_ms": 84, "request": sent(), "status": 503, "answer": "try later", "answer_headers": {"content-type": "text/plain"}, "verdict": "retry",
        "error": null,
    }]);
    delivery
}

fn sent() -> Value {
    json!({
        "method": "GET", "url": "https://api.bank.example/status?id=X-77&s=1", "body": null,
        "headers": {"Tracking-Delivery-Id": DELIVERY, "User-Agent": "tracking-api/0.1.0", "Authorization": "Bearer ***"},
    })
}

fn verdicts() -> Value {
    json!([{
        "event": "transaction_created", "transaction_id": "trx_1", "fires": false,
        "reasons": [{"condition": "source", "detail": "the conversion's source is api, the rule is about link"}],
    }])
}

pub(super) fn trial() -> Value {
    json!({
        "fires": true, "held": false,
        "verdicts": [{"event": "transaction_created", "transaction_id": "trx_1", "fires": true, "reasons": []}],
        "event": "transaction_created", "transaction_id": "trx_1", "sample": false, "request": sent(), "error": null,
        "macros": [{
            "place": "/url", "macro": "{external_id}", "name": "external_id", "from": "/conversion/external_id", "value": "X-77",
            "text": "X-77", "missing": false,
        }],
        "sent": false, "status": null, "duration_ms": null, "answer": null, "answer_headers": null, "verdict": null, "told": null, "warnings": [],
        "schedule": {"waits_seconds": [60, 120], "longest_seconds": 198, "text": "1 min, 2 min; at most 4 min"},
    })
}

pub(super) fn explanation() -> Value {
    json!({
        "tracking_api_id": RULE, "name": "Bank status", "owner": {"kind": "admin"}, "active": true, "fires": false, "held": false,
        "verdicts": verdicts(),
    })
}

pub(super) fn past() -> Value {
    json!({
        "tracking_api_id": RULE, "name": "Bank status", "owner": {"kind": "admin"}, "active": true,
        "changes": [{
            "change_id": "chg_0001", "version": 1, "occurred_at": NOON, "received_at": NOON, "fires": false, "held": false,
            "rule_changed_since": false, "verdicts": verdicts(), "notes": [],
        }],
        "deliveries": [],
    })
}

pub(super) fn history() -> Value {
    json!({
        "version": 4, "at": NOON, "by": {"role": "admin", "subject": "jana"}, "on_behalf": false, "action": "patched", "note": null,
        "changes": [{"pointer": "/retry/max_retries", "from": 12, "to": 5}, {"pointer": "/secrets/token", "from": null, "to": "changed"}],
    })
}

pub(super) fn macros() -> Value {
    json!({
        "macros": [{
            "name": "external_id", "aliases": ["advertiser_custom_id"], "group": "identity",
            "description": "The advertiser's id of the conversion.", "example": "{external_id}", "gives": "X-77", "admins_only": false, "answer_only": false,
        }],
        "modifiers": [{
            "name": "default", "argument": "x", "description": "x in place of an empty value.",
            "example": "{query.coupon|default:none}", "gives": "none",
        }],
    })
}

pub(super) fn step_kinds() -> Value {
    json!({"items": [{
        "kind": "wait", "description": "Waits for a time.", "fields": ["wait", "go", "max_runs"],
        "example": {"name": "hour", "wait": {"seconds": 3_600}},
    }]})
}

pub(super) fn preset() -> Value {
    json!({
        "id": "keitaro", "name": "Keitaro", "kind": "tracker", "documentation": "https://docs.keitaro.io/",
        "description": "Takes postbacks by click id.",
        "fill_in": [{"pointer": "/request/url", "name": "domain", "placeholder": "YOUR-DOMAIN.example",
            "description": "The tracker's domain.", "example": "track.example.com"}],
        "secrets": [],
        "tracking_api": {"name": "Keitaro", "request": {"url": "https://YOUR-DOMAIN.example/postback?subid={external_id}"}},
        "example": {
            "event": event(),
            "request": {"method": "GET", "url": "https://track.example.com/postback?subid=X-77", "headers": [], "body": null},
            "responses": [{"status": 503, "body": "", "means": "retry", "because": "it failed on its side"}],
        },
    })
}

pub(super) fn offer() -> Value {
    json!({"offer_id": "off_5", "name": "Loan CZ", "country": "CZ", "category": "loans"})
}

pub(super) fn rejected() -> Value {
    json!({
        "id": REJECTED, "received_at": NOON, "event": "{\"detail-type\":\"Conversion Changed\",\"detail\":{}}",
        "errors": [{"pointer": "/detail/change_id", "detail": "missing: give an id, 1 to 128 characters of A-Z a-z 0-9 . _ : -"}],
        "cut": false,
    })
}

pub(super) fn bus_event() -> Value {
    json!({
        "version": "0", "id": "1", "source": "tracking-api", "detail-type": "Delivery Ended", "time": NOON, "account": "local",
        "region": "local", "resources": [], "detail": cancelled(),
    })
}
