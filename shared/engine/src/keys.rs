//! The keys of everything in the store: the one key design, the same on every backend.
//!
//! | partition | place | item |
//! | --- | --- | --- |
//! | `C#c` | `L#rule#subject` | a subject queue |
//! | `C#c` | `D#id` | a delivery |
//! | `C#c` | `D#id#A#nn` | an earlier attempt of it |
//! | `C#c` | `CB#id#step#run#serial#name` | a callback or a webhook for a step of it |
//! | `C#c` | `CC#id#step#run#serial#name` | the content of one that is not read yet |
//! | `C#c` | `H#rule` | a hold |
//! | `C#c` | `P#hash` | the parameters of a long event |
//! | `C#c` | `E#version#change` | an event as it came, if events are kept; by time in the sparse index under `kept#s` |
//! | `R#rule` | `HEAD`, `BODY#write`, `K#name#write` | a rule's head, its text, a sealed secret |
//! | `R#rule` | `A#write` | an entry of its history |
//! | `R#rule` | `PACE` | the next free slot of its rate |
//! | `R#rule` | `KEPT` | its kept variables, sealed |
//! | `MI#rule` | rule | a rule that mirrors a step of the first |
//! | `WH#webhook` | `RULE` | the rule of a webhook |
//! | `WA#rule#name` | id | a delivery that waits for a webhook that brings a value |
//! | `WT#rule#name` | `TAKEN` | how many deliveries read a webhook, by the name of what it brought |
//! | `R#rule` | `FAILING` | since when it may be failing |
//! | `R#rule` | `REPLAY` | the name of its replay or backfill that runs |
//! | `J#all` | replay | a replay or a backfill; `J#affiliate#a` names those of an affiliate's rules |
//! | `Q#affiliate` | `RULES` | an affiliate's quota and the places of its rules |
//! | `I#anchor` | `rule#write` | an index copy |
//! | `U#all`, `U#owner` | rule | rule lists |
//! | `INTENT` | `rule#write` | a rule change under way |
//! | `T#rule#s`, `T#all#s` | `time#first` | a page of the log: ids recorded by one flush |
//! | `S#caller#rules` | day | the deliveries of that day's hours as they were counted for a caller |
//! | `DUE#hour#s` | `time#target` | a message to send later |
//! | `SWEEP` | `CURSOR` | the hour up to which the sweep has sent everything |
//! | `RECEIVERS` | receiver | the health of a receiver; `RECEIVERS#a` names those of an affiliate |
//! | `W#receiver#s` | `created#delivery` | a delivery that waits for its receiver |
//! | `O` | offer | an offer |
//! | `LIMIT#role#caller` | name of a limit | the caller's use of the limit |
//! | `IDEM#request` | `ANSWER` | the answer to a request with a key of its caller's |
//! | `X` | `time#hash` | a rejected event |
//!
//! Open deliveries are in the sparse index too, by rule and time, under `open#rule#s`; receivers that are not well under `unwell`.
//!
//! `c` is the half of a delivery's id that names its conversion, so that a delivery is found by its id and a conversion's deliveries lie
//! together. `write` is `version#nonce` and belongs to one write alone, even if another one writes the same version: a row under it is
//! never overwritten.

use jiff::Timestamp;
use tracking_core::{
    caller::{Caller, Owner},
    delivery::{DeliveryId, conversion_hash},
    event::Subject,
    flow::CallbackTurn,
    hash,
    id::Id,
    index::Anchor,
};

use crate::{backend::Key, random};

/// Shards of the log of all rules, and of one rule's log by its owner's kind.
const LOG_SHARDS: u64 = 8;
/// Shards of an hour of due rows.
pub(crate) const DUE_SHARDS: u64 = 16;
/// Shards of the kept events, and of the open deliveries of a rule, in the sparse index.
const ATTENTION_SHARDS: u64 = 8;

pub(crate) fn conversion(part: &str) -> String {
    format!("C#{part}")
}

pub(crate) fn subject_queue(id: &DeliveryId, rule: &Id, subject: &Subject) -> Key {
    Key::new(conversion(id.conversion_part()), format!("L#{rule}#{subject}"))
}

pub(crate) fn delivery(id: &DeliveryId) -> Key {
    Key::new(conversion(id.conversion_part()), format!("D#{id}"))
}

pub(crate) fn attempt(id: &DeliveryId, attempt: u32) -> Key {
    Key::new(conversion(id.conversion_part()), format!("D#{id}#A#{attempt:04}"))
}

/// Returns true if two writes of one rule may mean the same row: its webhook's, or that of a mirror. One too many does no harm.
pub(crate) fn is_shared_by_writes(key: &Key) -> bool {
    key.partition.starts_with("WH#") || key.partition.starts_with("MI#")
}

/// The rules that mirror steps of a rule.
pub(crate) fn mirrored(master: &Id) -> String {
    format!("MI#{master}")
}

/// A rule that mirrors a step of another one.
pub(crate) fn mirroring(master: &Id, id: &Id) -> Key {
    Key::new(mirrored(master), id.as_str())
}

/// The beginning of the places of the callbacks of one run of a step.
pub(crate) fn callbacks(id: &DeliveryId, turn: &CallbackTurn<'_>) -> Key {
    let CallbackTurn { step, run, serial } = turn;
    Key::new(conversion(id.conversion_part()), format!("CB#{id}#{step}#{run:02}#{serial:06}#"))
}

/// The beginning of the places of all callbacks of a delivery.
pub(crate) fn callbacks_of(id: &DeliveryId) -> Key {
    Key::new(conversion(id.conversion_part()), format!("CB#{id}#"))
}

/// A callback, by the name of its content.
pub(crate) fn callback(id: &DeliveryId, turn: &CallbackTurn<'_>, name: &str) -> Key {
    let Key { partition, sort } = callbacks(id, turn);
    Key::new(partition, format!("{sort}{name}"))
}

/// The content of a callback, sealed, until it is read.
pub(crate) fn callback_content(id: &DeliveryId, turn: &CallbackTurn<'_>, name: &str) -> Key {
    let Key { partition, sort } = callback(id, turn, name);
    Key::new(partition, sort.replacen("CB#", "CC#", 1))
}

/// The rule of a webhook.
pub(crate) fn webhook(id: &str) -> Key {
    Key::new(format!("WH#{id}"), "RULE")
}

/// The deliveries of a rule that wait for a webhook under a name.
pub(crate) fn awaiting(rule_id: &Id, name: &str) -> String {
    format!("WA#{rule_id}#{name}")
}

/// A delivery that waits for a webhook under a name.
pub(crate) fn awaiting_delivery(rule_id: &Id, name: &str, id: &DeliveryId) -> Key {
    Key::new(awaiting(rule_id, name), id.as_str())
}

/// The number of deliveries that read a webhook, by the name of what it brought.
pub(crate) fn webhook_taken(rule_id: &Id, name: &str) -> Key {
    Key::new(format!("WT#{rule_id}#{name}"), "TAKEN")
}

/// The parameters of a long event of the conversion of this delivery, by their hash.
pub(crate) fn parameters(id: &DeliveryId, name: &str) -> Key {
    Key::new(conversion(id.conversion_part()), format!("P#{name}"))
}

/// The kept variables of a rule.
pub(crate) fn kept(rule_id: &Id) -> Key {
    Key::new(rule(rule_id), "KEPT")
}

/// The place of a rule's rate.
pub(crate) const PACE: &str = "PACE";

/// The replays and backfills of all rules.
pub(crate) const REPLAYS: &str = "J#all";

/// A replay or a backfill.
pub(crate) fn replay(id: &Id) -> Key {
    Key::new(REPLAYS, id.as_str())
}

/// The list of replays and backfills of an affiliate's rules.
pub(crate) fn replays_of(affiliate: &Id) -> String {
    format!("J#affiliate#{affiliate}")
}

/// The row of a rule that may be failing.
pub(crate) fn failing(rule_id: &Id) -> Key {
    Key::new(rule(rule_id), "FAILING")
}

/// The name of the replay or backfill of a rule that runs.
pub(crate) fn running_replay(rule_id: &Id) -> Key {
    Key::new(rule(rule_id), "REPLAY")
}

/// The row of the next free slot of a rule with a rate.
pub(crate) fn pace(rule_id: &Id) -> Key {
    Key::new(rule(rule_id), PACE)
}

pub(crate) fn hold(conversion_id: &Id, rule: &Id) -> Key {
    Key::new(conversion(&conversion_hash(conversion_id)), format!("H#{rule}"))
}

/// The hold of a rule on the conversion of this delivery.
pub(crate) fn hold_of(id: &DeliveryId, rule: &Id) -> Key {
    Key::new(conversion(id.conversion_part()), format!("H#{rule}"))
}

/// The subject queues of the conversion of this delivery; rule and subject of each follow the prefix in its place.
pub(crate) const SUBJECT_QUEUES: &str = "L#";

/// The kept events of a conversion; the id of the change ends the place of each.
pub(crate) const EVENTS: &str = "E#";

pub(crate) fn event(conversion_id: &Id, version: u64, change: &Id) -> Key {
    Key::new(conversion(&conversion_hash(conversion_id)), format!("E#{version:020}#{change}"))
}

pub(crate) fn rule(rule: &Id) -> String {
    format!("R#{rule}")
}

pub(crate) fn head(rule_id: &Id) -> Key {
    Key::new(rule(rule_id), "HEAD")
}

/// The name of a new write.
pub(crate) fn new_write_id(version: u64) -> String {
    write_id(version, &format!("{:016x}", random()))
}

/// The name of one write of a rule and of nothing else; it sorts like the version.
pub(crate) fn write_id(version: u64, nonce: &str) -> String {
    format!("{version:012}#{nonce}")
}

/// The version that a write was to make.
pub(crate) fn version_of(write_id: &str) -> Option<u64> {
    write_id.split_once('#')?.0.parse().ok()
}

pub(crate) fn body(rule_id: &Id, write_id: &str) -> Key {
    Key::new(rule(rule_id), format!("BODY#{write_id}"))
}

pub(crate) fn secret(rule_id: &Id, name: &str, write_id: &str) -> Key {
    Key::new(rule(rule_id), format!("K#{name}#{write_id}"))
}

/// A write's entry in the history of its rule.
pub(crate) fn audit(rule_id: &Id, write_id: &str) -> Key {
    Key::new(rule(rule_id), format!("A#{write_id}"))
}

/// The number of rules that an affiliate may have, and the rules that count.
pub(crate) fn quota(affiliate: &Id) -> Key {
    Key::new(format!("Q#{affiliate}"), "RULES")
}

/// The use that a caller made of a limit.
pub(crate) fn usage(role: &str, caller: &str, limit: &str) -> Key {
    Key::new(format!("LIMIT#{role}#{caller}"), limit)
}

/// A write's index copy under an anchor.
pub(crate) fn copy(anchor: &str, rule_id: &Id, write_id: &str) -> Key {
    Key::new(format!("I#{anchor}"), format!("{rule_id}#{write_id}"))
}

pub(crate) fn intent(rule_id: &Id, write_id: &str) -> Key {
    Key::new(INTENTS, format!("{rule_id}#{write_id}"))
}

pub(crate) fn index(anchor: &Anchor) -> String {
    format!("I#{anchor}")
}

/// The list of rules of one owner.
pub(crate) fn owned(owner: &Owner) -> String {
    match owner.affiliate() {
        Some(affiliate) => format!("U#affiliate#{affiliate}"),
        None => "U#admin".to_owned(),
    }
}

/// The list of all rules.
pub(crate) const ALL_RULES: &str = "U#all";
/// The list of rules that affiliates own.
pub(crate) const AFFILIATE_RULES: &str = "U#affiliates";
/// Rule changes under way.
pub(crate) const INTENTS: &str = "INTENT";
/// Kept events in the sparse index.
const KEPT: &str = "kept";
/// Offers.
pub(crate) const OFFERS: &str = "O";
/// Rejected events.
pub(crate) const REJECTED: &str = "X";

/// The health of receivers.
pub(crate) const RECEIVERS: &str = "RECEIVERS";
/// Receivers that are not well in the sparse index.
pub(crate) const UNWELL_RECEIVERS: &str = "unwell";
/// Shards of the deliveries that wait for a receiver.
const WAITING_SHARDS: u64 = 4;

/// The health of a receiver.
pub(crate) fn receiver(id: &Id) -> Key {
    Key::new(RECEIVERS, id.as_str())
}

/// The names of an affiliate's receivers.
pub(crate) fn receivers_of(affiliate: &Id) -> String {
    format!("{RECEIVERS}#{affiliate}")
}

/// The name of one of them.
pub(crate) fn receiver_of(affiliate: &Id, id: &Id) -> Key {
    Key::new(receivers_of(affiliate), id.as_str())
}

/// The place of a receiver that is not well in the sparse index.
pub(crate) fn unwell_receiver(id: &Id) -> Key {
    Key::new(UNWELL_RECEIVERS, id.as_str())
}

/// The partitions of the deliveries that wait for a receiver.
pub(crate) fn waiting_for(receiver: &Id) -> Vec<String> {
    (0..WAITING_SHARDS).map(|shard| format!("W#{receiver}#{shard}")).collect()
}

/// The place of a delivery that waits for a receiver.
pub(crate) fn waiting(receiver: &Id, created_at: Timestamp, id: &DeliveryId) -> Key {
    let shard = hash::number(&[id.as_str()]) % WAITING_SHARDS;
    Key::new(format!("W#{receiver}#{shard}"), format!("{}#{id}", sortable(created_at)))
}

/// The answer to a request with a key of its caller's.
pub(crate) fn once(request: &str) -> Key {
    Key::new(format!("IDEM#{request}"), "ANSWER")
}

pub(crate) fn sweep_cursor() -> Key {
    Key::new("SWEEP", "CURSOR")
}

/// A time as text that sorts like the time.
pub(crate) fn sortable(time: Timestamp) -> String {
    format!("{:014}", time.as_millisecond().max(0))
}

/// The log partitions of one rule.
pub(crate) fn rule_log(rule: &Id, owner: &Owner) -> Vec<String> {
    let shards = if owner.affiliate().is_some() { 1 } else { LOG_SHARDS };
    (0..shards).map(|shard| format!("T#{rule}#{shard}")).collect()
}

/// The log partition of one rule that a flush writes to.
pub(crate) fn rule_log_of(rule: &Id, owner: &Owner, flush: &str) -> String {
    let shards = if owner.affiliate().is_some() { 1 } else { LOG_SHARDS };
    format!("T#{rule}#{}", hash::number(&[flush]) % shards)
}

/// The log partitions of all rules.
pub(crate) fn whole_log() -> Vec<String> {
    (0..LOG_SHARDS).map(|shard| format!("T#all#{shard}")).collect()
}

/// The log partition of all rules that a flush writes to.
pub(crate) fn whole_log_of(flush: &str) -> String {
    format!("T#all#{}", hash::number(&[flush]) % LOG_SHARDS)
}

/// The statistics that a caller sees of one rule, or of all its rules.
pub(crate) fn statistics(caller: &Caller, rule: Option<&Id>) -> String {
    let caller = match caller {
        Caller::Admin => "admin".to_owned(),
        Caller::Affiliate(affiliate) => format!("affiliate#{affiliate}"),
    };
    // No id has a `#`: the statistics of no rule are those of all.
    rule.map_or_else(|| format!("S#{caller}#all"), |rule| format!("S#{caller}#rule#{rule}"))
}

/// The place of a day, counted from 1970.
pub(crate) fn day(day: i64) -> String {
    format!("{:08}", day.max(0))
}

/// The sparse index's partitions of a rule's open deliveries.
pub(crate) fn open_of(rule: &Id) -> Vec<String> {
    troubles(&open_deliveries(rule))
}

fn open_deliveries(rule: &Id) -> String {
    format!("open#{rule}")
}

/// The sparse index's partitions of this name.
fn troubles(name: &str) -> Vec<String> {
    (0..ATTENTION_SHARDS).map(|shard| format!("{name}#{shard}")).collect()
}

/// The sparse index's partitions of kept events.
pub(crate) fn kept_events() -> Vec<String> {
    troubles(KEPT)
}

/// A kept event's place in the sparse index.
pub(crate) fn kept_event(received_at: Timestamp, event: &Key) -> Key {
    let shard = hash::number(&[&event.partition, &event.sort]) % ATTENTION_SHARDS;
    Key::new(format!("{KEPT}#{shard}"), format!("{}#{}#{}", sortable(received_at), event.partition, event.sort))
}

/// The place of a rule's open delivery in the sparse index.
pub(crate) fn open(rule: &Id, created_at: Timestamp, id: &DeliveryId) -> Key {
    let shard = hash::number(&[id.as_str()]) % ATTENTION_SHARDS;
    Key::new(format!("{}#{shard}", open_deliveries(rule)), format!("{}#{id}", sortable(created_at)))
}

/// The hour that a time lies in, counted from 1970.
pub(crate) fn hour(time: Timestamp) -> i64 {
    time.as_second().div_euclid(3_600)
}

/// The partition of due rows of an hour and shard.
pub(crate) fn due_hour(hour: i64, shard: u64) -> String {
    format!("DUE#{hour:08}#{shard:02}")
}

/// The place of a due row.
pub(crate) fn due(at: Timestamp, target: &str) -> Key {
    let shard = hash::number(&[target]) % DUE_SHARDS;
    Key::new(due_hour(hour(at), shard), format!("{}#{target}", sortable(at)))
}
