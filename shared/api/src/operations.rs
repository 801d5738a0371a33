//! The table of operations: a line each. Everything that is served and described is written here, and nowhere else.
//!
//! A POST may be repeated with an `Idempotency-Key` unless its line says that it needs none.

use axum::http::Method;
use tracking_core::change::MAX_EVENT_BYTES;
use tracking_engine::backend::Backend;

use crate::{
    Hands, affiliate_postbacks, affiliates, alive, callbacks, catalogue, deliveries, explain, history, offers, openapi::AboutFn,
    openapi::paths, operation::Operation, presets, receivers, rejected, replay, replays, secrets, statistics, tracking_apis,
    trial,
};

/// A body with a rule: 64 KiB for the rule, and as much for its secrets' values and for white space.
const RULE_BYTES: usize = 128 * 1_024;
/// A body with an event, and with little beside it.
const EVENT_BYTES: usize = MAX_EVENT_BYTES + 64 * 1_024;

/// Every operation, by the parts of the API.
pub(crate) fn all<B: Backend, A: From<AboutFn>>() -> Vec<Operation<Hands<B>, A>> {
    let (get, post, put, patch, delete) = (Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE);
    let (rule, secret, quota) = ("/tracking-apis/{id}", "/tracking-apis/{id}/secrets/{name}", "/affiliates/{id}/quota");
    let restore = "/tracking-apis/{id}/history/{version}/restore";
    let mut all = vec![
        Operation::new(get.clone(), "/tracking-apis", tracking_apis::list::<B>, paths::rules::list),
        Operation::new(post.clone(), "/tracking-apis", tracking_apis::create::<B>, paths::rules::create)
            .without_key()
            .with_most_bytes(RULE_BYTES),
        Operation::new(get.clone(), rule, tracking_apis::read::<B>, paths::rules::read),
        Operation::new(put.clone(), rule, tracking_apis::replace::<B>, paths::rules::replace).with_most_bytes(RULE_BYTES),
        Operation::new(patch, rule, tracking_apis::patch::<B>, paths::rules::patch).with_most_bytes(RULE_BYTES),
        Operation::new(delete.clone(), rule, tracking_apis::delete::<B>, paths::rules::delete),
        Operation::new(put.clone(), secret, secrets::write::<B>, paths::rules::write_secret),
        Operation::new(delete, secret, secrets::delete::<B>, paths::rules::delete_secret),
        Operation::new(post.clone(), "/tracking-apis/{id}/duplicate", tracking_apis::duplicate::<B>, paths::rules::duplicate)
            .without_key()
            .with_most_bytes(RULE_BYTES),
        Operation::new(get.clone(), "/tracking-apis/{id}/history", history::list::<B>, paths::rules::history).reading_much(),
        Operation::new(post.clone(), restore, history::restore::<B>, paths::rules::restore),
        Operation::new(get.clone(), quota, affiliates::quota::<B>, paths::affiliates::quota),
        Operation::new(put.clone(), quota, affiliates::set_quota::<B>, paths::affiliates::write_quota),
        Operation::new(post.clone(), "/tracking-apis/bulk", tracking_apis::bulk::<B>, paths::rules::bulk),
        Operation::new(post.clone(), "/tracking-apis/preview", trial::preview::<B>, paths::trying::preview)
            .with_most_bytes(RULE_BYTES + MAX_EVENT_BYTES),
        Operation::new(post.clone(), "/tracking-apis/{id}/test", trial::test::<B>, paths::trying::test)
            .with_most_bytes(EVENT_BYTES),
        Operation::new(post.clone(), "/explain", explain::event::<B>, paths::explaining::event)
            .without_key()
            .reading_much()
            .with_most_bytes(EVENT_BYTES),
        Operation::new(get.clone(), "/conversions/{id}/explain", explain::conversion::<B>, paths::explaining::conversion)
            .reading_much(),
        Operation::new(get.clone(), "/affiliate-postbacks", affiliate_postbacks::list::<B>, paths::rules::affiliate_postbacks)
            .reading_much(),
        Operation::new(get.clone(), "/deliveries", deliveries::list::<B>, paths::deliveries::list).reading_much(),
        Operation::new(get.clone(), "/deliveries/{id}", deliveries::read::<B>, paths::deliveries::read),
        Operation::new(get.clone(), "/deliveries/{id}/internals", deliveries::internals::<B>, paths::deliveries::internals),
        Operation::new(post.clone(), "/deliveries/{id}/resend", deliveries::resend::<B>, paths::repair::resend),
        Operation::new(post.clone(), "/deliveries/{id}/cancel", deliveries::cancel::<B>, paths::repair::cancel),
        Operation::new(get.clone(), "/stats", statistics::read::<B>, paths::deliveries::statistics).reading_much(),
        Operation::new(post.clone(), "/tracking-apis/{id}/replay", replay::replay::<B>, paths::repair::replay).reading_much(),
        Operation::new(post.clone(), "/tracking-apis/{id}/backfill", replay::backfill::<B>, paths::repair::backfill)
            .reading_much(),
        Operation::new(get.clone(), "/replays", replays::list::<B>, paths::repair::replays),
        Operation::new(get.clone(), "/replays/{id}", replays::read::<B>, paths::repair::replay_so_far),
        Operation::new(post.clone(), "/replays/{id}/cancel", replays::cancel::<B>, paths::repair::cancel_replay),
        Operation::new(get.clone(), "/offers", offers::list::<B>, paths::catalogue::offers),
        Operation::new(put, "/offers/{id}", offers::write::<B>, paths::catalogue::write_offer),
        Operation::new(get.clone(), "/events/rejected", rejected::list::<B>, paths::events::rejected),
        Operation::new(post, "/events/rejected/{id}/resubmit", rejected::resubmit::<B>, paths::events::resubmit)
            .with_most_bytes(EVENT_BYTES),
        Operation::new(get.clone(), "/macros", catalogue::read, paths::catalogue::macros),
        Operation::new(get.clone(), "/step-kinds", catalogue::step_kinds, paths::catalogue::step_kinds),
        Operation::new(get.clone(), "/presets", presets::list, paths::catalogue::presets),
        Operation::new(get, "/healthz", alive, paths::service::alive).open(),
    ];
    all.extend(of_receivers());
    all
}

/// Operations about receivers, and those that receivers call.
fn of_receivers<B: Backend, A: From<AboutFn>>() -> Vec<Operation<Hands<B>, A>> {
    let (get, post) = (Method::GET, Method::POST);
    vec![
        Operation::new(get.clone(), "/receivers", receivers::list::<B>, paths::receivers::list).reading_much(),
        Operation::new(get.clone(), "/receivers/{id}", receivers::read::<B>, paths::receivers::read),
        Operation::new(post.clone(), "/receivers/{id}/probe", receivers::probe::<B>, paths::receivers::probe),
        Operation::new(post.clone(), "/receivers/{id}/reset", receivers::reset::<B>, paths::receivers::reset),
        Operation::new(post.clone(), "/tracking-apis/{id}/webhook-id", callbacks::renew::<B>, paths::callbacks::renew),
        Operation::new(get.clone(), "/callbacks/{token}", callbacks::callback::<B>, paths::callbacks::get).open(),
        Operation::new(post.clone(), "/callbacks/{token}", callbacks::callback::<B>, paths::callbacks::post).open().without_key(),
        Operation::new(post, "/webhooks/{webhook_id}", callbacks::webhook::<B>, paths::callbacks::webhook).open().without_key(),
    ]
}
