//! The reasons why a rule fired or did not: for an event that a person gives, and for the real history of a conversion.
//!
//! Matching and explaining ask the same code ([`tracking_core::matching`]); this module only reads and shows.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use tracking_core::{
    caller::{Caller, Owner},
    change::detail_of,
    delivery::conversion_hash,
    id::Id,
    json,
    json::Value,
    matching::{EventVerdict, Explained},
    tracking_api::{Delay, explained_event},
};

use crate::{
    MOST_PAGE_BYTES,
    backend::{Backend, Order, Partition, Range, StoreError},
    keys,
    log::Log,
    matching::kept::{Kept, other_use},
    rows::DeliveryRow,
    rules::{Filter, Refused, Rule, listed},
};

/// The most verdicts of a page, and of a rule in it: a page ends early, and of a rule the oldest changes are left out, rather than
/// grow beyond what one answer can hold.
const MOST_VERDICTS: usize = 5_000;
/// The most changes of a conversion that are explained, the newest.
const MOST_CHANGES: usize = 200;
/// The most bytes of those changes as they are kept, except for the last one read: each takes about ten times as much once it is read.
const MAX_CHANGE_BYTES: usize = 2 * 1024 * 1024;
/// Changes that are read together.
const CHANGES_AT_A_TIME: usize = 8;
/// The most bytes of the verdicts on one change, which has up to 2 001 events.
const MAX_VERDICT_BYTES: usize = 512 * 1024;
/// The text in place of the name of a rule that is gone.
const GONE: &str = "a deleted Tracking API";

/// A page of explained rules, and the place at which the next one begins.
type Page = (Vec<Value>, Option<String>);

impl<B: Backend> Log<B> {
    /// For each rule that the caller may see, newest first, the effect that the event in `body` would have on it: as if it were the first
    /// event of its conversion.
    ///
    /// # Errors
    /// The event's faults, all at once; among them that its change id was used for another change, as far as events are kept and the caller
    /// may know of that one.
    pub async fn explain(&self, caller: &Caller, body: &Value, limit: usize, before: Option<String>) -> Result<Page, Refused> {
        let change = explained_event(body)?;
        let other = other_use(&self.store, &change).await?;
        if other.is_some_and(|kept| caller.may_know(&kept.change.conversion)) {
            let (_, pointer) = detail_of(&body["event"], "/event");
            return Err(change.id_is_taken(&pointer).into());
        }
        let now = self.store.now();
        let mut list = listed(caller, &Filter::default(), before, limit);
        let (mut page, mut last_given) = (Items::default(), None);
        while let Some((place, rule)) = self.rules.next_rule(&mut list).await? {
            if page.entries.len() == limit {
                return Ok((page.entries, last_given));
            }
            let explained = rule.candidate().explain(&change, &mut None, now);
            let mut item = about(&rule);
            show(&mut item, &explained);
            if !page.takes(item, explained.verdicts.len()) {
                return Ok((page.entries, last_given));
            }
            last_given = Some(place);
        }
        page.entries.extend(list.unreadable(caller, limit));
        Ok((page.entries, None))
    }

    /// For each rule that the caller may see, newest first, the effects of a conversion's changes on it, by the rule as it is now, and the
    /// state of each delivery. On the last page also the deliveries of rules that are gone.
    ///
    /// # Errors
    /// The caller may see nothing of that conversion.
    pub async fn explain_conversion(
        &self,
        caller: &Caller,
        conversion: &Id,
        limit: usize,
        before: Option<String>,
    ) -> Result<Page, Refused> {
        let (changes, all) = self.kept_changes(conversion).await?;
        let rows = self.deliveries_of(caller, conversion).await?;
        if rows.is_empty() && !changes.iter().any(|kept| caller.may_know(&kept.change.conversion)) {
            return Err(Refused::NotFound);
        }
        let mut deliveries = self.shown_deliveries(rows).await?;
        let mut list = listed(caller, &Filter::default(), before, limit);
        let (mut page, mut last_given) = (Items::default(), None);
        while let Some((place, rule)) = self.rules.next_rule(&mut list).await? {
            if page.entries.len() == limit {
                return Ok((page.entries, last_given));
            }
            let (newest, complete) = history(caller, &rule, &changes);
            let mut item = about(&rule);
            item["changes"] = newest.entries.into();
            item["complete"] = (complete && all).into();
            item["deliveries"] = deliveries.remove(&rule.id).map(|(_, views)| views).unwrap_or_default().into();
            if !page.takes(item, newest.verdicts) {
                return Ok((page.entries, last_given));
            }
            last_given = Some(place);
        }
        page.entries.extend(self.gone(deliveries).await?);
        Ok((page.entries, None))
    }

    /// The changes of a conversion as they were kept, in the order in which they came; of too many, or too large ones, the newest. The
    /// second half is true if these are all.
    async fn kept_changes(&self, conversion: &Id) -> Result<(Vec<Kept>, bool), StoreError> {
        let partition = Partition::Table(keys::conversion(&conversion_hash(conversion)));
        let mut range = Range::prefix("E#");
        let (mut changes, mut bytes, mut read) = (Vec::new(), 0, 0);
        let is_full = |bytes: usize, read: usize| bytes >= MAX_CHANGE_BYTES || read == MOST_CHANGES;
        let is_complete = loop {
            let items = self.store.backend().query(&partition, &range, Order::Descending, CHANGES_AT_A_TIME).await?;
            for item in &items {
                if is_full(bytes, read) {
                    break;
                }
                (bytes, read) = (bytes + item.body.len(), read + 1);
                let kept = self.store.or_unreadable(item, Kept::read(item)).flatten();
                changes.extend(kept.filter(|kept| kept.change.conversion.conversion_id == *conversion));
            }
            match items.last() {
                _ if is_full(bytes, read) => break false,
                Some(last) if items.len() == CHANGES_AT_A_TIME => range.before = Some(last.key.sort.clone()),
                _ => break true,
            }
        };
        changes.sort_by_key(|kept| (kept.received_at, kept.change.conversion.version));
        Ok((changes, is_complete))
    }

    /// Deliveries as a list shows them, oldest first, with their owner, by their rules.
    async fn shown_deliveries(&self, mut rows: Vec<DeliveryRow>) -> Result<BTreeMap<Id, (Owner, Vec<Value>)>, StoreError> {
        self.show_sending(&mut rows).await?;
        rows.sort_by(|a, b| (a.owed.created_at, &a.owed.id).cmp(&(b.owed.created_at, &b.owed.id)));
        let mut shown: BTreeMap<Id, (Owner, Vec<Value>)> = BTreeMap::new();
        for row in rows {
            let (_, views) = shown.entry(row.owed.rule.clone()).or_insert_with(|| (row.owed.owner.clone(), Vec::new()));
            views.push(row.view());
        }
        Ok(shown)
    }

    /// The deliveries of those rules that are gone.
    async fn gone(&self, deliveries: BTreeMap<Id, (Owner, Vec<Value>)>) -> Result<Vec<Value>, StoreError> {
        let ids: Vec<Id> = deliveries.keys().cloned().collect();
        let mut there = BTreeSet::new();
        for found in join_all(ids.iter().map(|id| self.rules.read_rule_if(id, |_| true))).await {
            // A rule that can't be read, like one that is gone, is shown by its deliveries alone.
            there.extend(StoreError::pass_over(found)?.flatten().map(|(rule, _)| rule.id));
        }
        let gone = deliveries.into_iter().filter(|(id, _)| !there.contains(id)).map(|(id, (owner, views))| {
            json!({"tracking_api_id": id, "name": GONE, "owner": owner, "active": false, "changes": [], "complete": true, "deliveries": views})
        });
        Ok(gone.collect())
    }
}

/// The entries of a page, which has a bound on verdicts and bytes.
#[derive(Default)]
struct Items {
    entries: Vec<Value>,
    verdicts: usize,
    bytes: usize,
}

impl Items {
    /// Adds an entry if there is room or it is the first. Returns true if it was added.
    fn takes(&mut self, item: Value, verdicts: usize) -> bool {
        let verdicts = self.verdicts + verdicts;
        let bytes = self.bytes + item.to_string().len();
        let fits = self.entries.is_empty() || (verdicts <= MOST_VERDICTS && bytes <= MOST_PAGE_BYTES);
        if fits {
            (self.verdicts, self.bytes) = (verdicts, bytes);
            self.entries.push(item);
        }
        fits
    }
}

/// The effects of the changes on a rule, in the order in which they came; of too many the newest. The second half is true if
/// these are all. A hold takes all changes; the result has those that the caller may know of (V3).
fn history(caller: &Caller, rule: &Rule, changes: &[Kept]) -> (Items, bool) {
    let holds = matches!(rule.definition.delay, Delay::Final(_));
    let mut hold = None;
    let mut visible = Vec::new();
    for Kept { received_at, change, notes } in changes {
        let shown = caller.may_know(&change.conversion);
        if shown || holds {
            let explained = rule.candidate().explain(change, &mut hold, *received_at);
            visible.extend(shown.then_some((received_at, change, notes, explained)));
        }
    }
    let mut newest = Items::default();
    let complete = visible.iter().rev().all(|(received_at, change, notes, explained)| {
        let mut item = json!({
            "change_id": change.change_id, "version": change.conversion.version, "occurred_at": change.occurred_at,
            "received_at": received_at, "rule_changed_since": rule.head.updated_at > **received_at, "notes": notes,
        });
        show(&mut item, explained);
        newest.takes(item, explained.verdicts.len())
    });
    newest.entries.reverse();
    (newest, complete)
}

/// A rule as an explanation names it.
fn about(rule: &Rule) -> Value {
    json!({
        "tracking_api_id": rule.id, "name": rule.definition.name, "owner": rule.head.owner, "active": rule.head.live && rule.head.unbound(&rule.definition).is_none(),
    })
}

fn show(item: &mut Value, explained: &Explained) {
    item["fires"] = explained.fires.into();
    item["held"] = explained.held.into();
    show_verdicts(item, &explained.verdicts);
}

/// Shows the verdicts on one change; of very many the first.
pub(crate) fn show_verdicts(item: &mut Value, verdicts: &[EventVerdict]) {
    let mut room = MAX_VERDICT_BYTES;
    let shown: Vec<Value> = verdicts
        .iter()
        .map(|verdict| json!(verdict))
        .take_while(|shown| {
            let left = room.checked_sub(shown.to_string().len());
            room = left.unwrap_or_default();
            left.is_some()
        })
        .collect();
    if shown.len() < verdicts.len() {
        item["shortened"] = true.into();
    }
    item["verdicts"] = shown.into();
}
