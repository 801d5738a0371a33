//! Reading the log: one delivery with its attempts, and lists of them, newest first.
//!
//! The log's pages name ids in the order in which deliveries were first recorded, which may be later than they were made. A list shows
//! them in the order of creation: an entry is given out once no unread page can hold a newer one. A cursor holds the last entry that was
//! given out and the newest page with an entry that was not, so that pages follow each other without gaps or repeats.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::Caller,
    delivery::{DeliveryId, State, conversion_hash},
    id::Id,
    json::Value,
    subject_queue::SubjectQueue,
};

use super::Log;
use crate::{
    backend::{Backend, Item, Key, Order, Partition, Range, StoreError},
    keys,
    recorder::Page,
    rows::{self, Attempt, CallbackRow, DeliveryRow},
    rules::Refused,
    store::unreadable,
};

/// Rows that one call looks at, at most; a page may be short of its limit and yet have a next one.
const MOST_LOOKED_AT: usize = 5_000;
/// The longest place of a page that a cursor names, in bytes: DynamoDB fails a query for one of more than 1 024.
const LONGEST_PLACE_BYTES: usize = 128;
/// Pages of one shard read at a time.
const PAGES_READ: usize = 50;
/// The same number where few entries are asked for.
const FIRST_PAGES_READ: usize = 10;
/// Callbacks of a delivery that are shown, at most.
const MOST_CALLBACKS: usize = 100;
/// Rows fetched at a time.
const FETCH: usize = 100;

/// The deliveries that a list shows (docs/api.md).
#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    /// Only those of this rule.
    pub tracking_api_id: Option<Id>,
    /// Only those about this conversion.
    pub conversion_id: Option<Id>,
    /// Only those about this transaction.
    pub transaction_id: Option<Id>,
    /// Only those of conversions of this affiliate.
    pub affiliate_id: Option<Id>,
    /// Only those of conversions of this offer.
    pub offer_id: Option<Id>,
    /// Only those with the affiliate's own click id.
    pub click_id: Option<String>,
    /// Only those with the advertiser's id.
    pub external_id: Option<String>,
    /// Only those in one of these states; none is all.
    pub states: Vec<State>,
    /// Only those whose last response had this status.
    pub http_status: Option<u16>,
    /// Only those made at or after this time.
    pub from: Option<Timestamp>,
    /// Only those made before this time.
    pub to: Option<Timestamp>,
}

/// A page of a list.
#[derive(Debug, Clone, Default)]
pub struct DeliveryPage {
    /// Deliveries, newest first.
    pub items: Vec<Value>,
    /// The place at which the next page begins, if there is one.
    pub next: Option<String>,
}

/// A cursor that this engine did not give out.
fn bad_cursor() -> Refused {
    Refused::Faults(tracking_core::fault::Faults::one("", "not a cursor: use the next_cursor of a page as it is"))
}

/// An entry's place in the list: its creation time, then its id.
type Place = (Timestamp, DeliveryId);

/// Both fields are always written, so that one without them is not ours.
#[derive(Serialize, Deserialize)]
struct Cursor {
    /// The last entry that was given out.
    #[serde(deserialize_with = "Option::deserialize")]
    after: Option<Place>,
    /// The newest page that may hold entries not given out yet: none before the first page.
    #[serde(deserialize_with = "Option::deserialize")]
    pages: Option<String>,
}

impl<B: Backend> Log<B> {
    /// One delivery with every attempt, if the caller may see it (V2).
    pub async fn delivery(&self, caller: &Caller, id: &DeliveryId) -> Result<Value, Refused> {
        let partition = Partition::Table(keys::conversion(id.conversion_part()));
        let items = self.store.backend().query(&partition, &Range::prefix(&format!("D#{id}")), Order::Ascending, 1_000).await?;
        let key = keys::delivery(id);
        let Some(own) = items.iter().find(|item| item.key == key) else { return Err(Refused::NotFound) };
        // The owner first: a delivery that the caller may not see takes no longer than one that isn't there.
        let owner = self.store.or_unreadable(own, rows::owner_of(&own.body));
        if owner.as_ref().is_some_and(|owner| !caller.sees(owner)) {
            return Err(Refused::NotFound);
        }
        let row = owner.and_then(|_| self.store.readable::<DeliveryRow>(own));
        let Some(mut row) = row else { return unreadable::shown(caller, &key).ok_or(Refused::NotFound) };
        let attempts = items.iter().filter(|item| item.key != key);
        let mut log: Vec<Attempt> = attempts.filter_map(|item| self.store.readable(item)).collect();
        if let Some(last) = row.last.take() {
            (row.http_status, row.duration_ms) = (last.status, Some(last.duration_ms));
            if log.iter().all(|attempt| attempt.number != last.number) {
                log.push(last);
            }
        }
        log.sort_by_key(|attempt| attempt.number);
        self.show_sending(std::slice::from_mut(&mut row)).await?;
        let mut view = row.view();
        view["log"] = log.iter().map(Attempt::view).collect();
        // A first request that was cut off before its record may have given a URL away.
        let is_cut_off = log.is_empty() || row.attempts as usize > log.len();
        if row.flow.is_some() || is_cut_off {
            let callbacks = self.callbacks(id).await?;
            if row.flow.is_some() || callbacks.as_array().is_some_and(|callbacks| !callbacks.is_empty()) {
                view["callbacks"] = callbacks;
            }
        }
        Ok(view)
    }

    /// The callbacks and webhooks of a delivery, in the order in which they came.
    async fn callbacks(&self, id: &DeliveryId) -> Result<Value, StoreError> {
        let prefix = keys::callbacks_of(id);
        let (partition, range) = (Partition::Table(prefix.partition), Range::prefix(&prefix.sort));
        let items = self.store.backend().query(&partition, &range, Order::Ascending, MOST_CALLBACKS).await?;
        let mut rows: Vec<CallbackRow> = items.iter().filter_map(|item| self.store.readable(item)).collect();
        rows.sort_by_key(|row| row.at);
        Ok(rows.iter().map(CallbackRow::view).collect())
    }

    /// Deliveries whose next attempt is claimed and not recorded are being sent.
    pub(crate) async fn show_sending(&self, rows: &mut [DeliveryRow]) -> Result<(), StoreError> {
        let mut waiting: Vec<&mut DeliveryRow> = rows.iter_mut().filter(|row| row.state == State::Waiting).collect();
        for some in waiting.chunks_mut(FETCH) {
            let queue =
                |row: &&mut DeliveryRow| keys::subject_queue(&row.owed.id, &row.owed.rule, &row.owed.event.known().subject());
            let keys: Vec<Key> = some.iter().map(queue).collect();
            for (row, item) in some.iter_mut().zip(self.store.backend().get(&keys).await?) {
                let Some(item) = item else { continue };
                let Some(queue) = self.store.readable::<SubjectQueue>(&item) else { continue };
                if queue.entries.iter().any(|entry| entry.id == row.owed.id && entry.attempts > row.attempts) {
                    row.state = State::Sending;
                    row.next_due = None;
                }
            }
        }
        Ok(())
    }

    /// Deliveries that the caller may see (V2), newest first.
    pub async fn list(
        &self,
        caller: &Caller,
        filter: &DeliveryFilter,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<DeliveryPage, Refused> {
        let cursor = match cursor {
            None => Cursor { after: None, pages: None },
            Some(text) => {
                let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| bad_cursor())?;
                let cursor: Cursor = serde_json::from_slice(&bytes).map_err(|_| bad_cursor())?;
                if cursor.pages.as_ref().is_some_and(|place| place.len() > LONGEST_PLACE_BYTES) {
                    return Err(bad_cursor());
                }
                cursor
            }
        };
        let mut list = match (&filter.conversion_id, &filter.tracking_api_id) {
            (Some(conversion), _) => self.conversion_list(caller, conversion).await?,
            (None, rule) => List::of(self.logs_of(caller, rule.as_ref()).await?),
        };
        list.upto = cursor.pages;
        list.after = cursor.after;
        self.page(caller, filter, limit, list).await
    }

    async fn page(
        &self,
        caller: &Caller,
        filter: &DeliveryFilter,
        limit: usize,
        mut list: List,
    ) -> Result<DeliveryPage, Refused> {
        let mut items = Vec::new();
        let mut looked_at = 0;
        loop {
            let mut places = Vec::new();
            while places.len() < FETCH.min(limit - items.len()) {
                let Some(place) = self.next(&mut list).await? else { break };
                if filter.from.is_some_and(|from| place.0 < from) {
                    list.ended = true;
                    break;
                }
                if filter.to.is_none_or(|to| place.0 < to) {
                    places.push(place);
                } else {
                    list.after = Some(place);
                    looked_at += 1;
                }
                if looked_at >= MOST_LOOKED_AT {
                    break;
                }
            }
            if places.is_empty() {
                items.extend(unreadable::take_shown(&mut list.unreadable, caller, usize::MAX));
                let next = (!list.ended && looked_at >= MOST_LOOKED_AT).then(|| list.cursor());
                return Ok(DeliveryPage { items, next });
            }
            looked_at += places.len();
            let keys: Vec<Key> = places.iter().map(|(_, id)| keys::delivery(id)).collect();
            let mut rows: Vec<DeliveryRow> = Vec::new();
            for item in self.store.backend().get(&keys).await?.into_iter().flatten() {
                match self.store.readable(&item) {
                    Some(row) => rows.push(row),
                    None => list.unreadable.push(item.key),
                }
            }
            rows.retain(|row| caller.sees(&row.owed.owner));
            items.extend(unreadable::take_shown(&mut list.unreadable, caller, usize::MAX));
            self.show_sending(&mut rows).await?;
            items.extend(rows.iter().filter(|row| filter.admits(row)).map(DeliveryRow::view));
            list.after = places.pop().or(list.after);
            if items.len() >= limit || looked_at >= MOST_LOOKED_AT {
                let more = self.next(&mut list).await?.inspect(|place| list.give_back(place.clone())).is_some();
                return Ok(DeliveryPage { items, next: more.then(|| list.cursor()) });
            }
        }
    }

    /// The next deliveries of a rule's log, newest first; none once it has ended.
    pub(crate) async fn newest(&self, list: &mut List, most: usize) -> Result<Vec<DeliveryRow>, StoreError> {
        loop {
            let mut keys = Vec::new();
            while keys.len() < most.min(FETCH) {
                let Some((_, id)) = self.next(list).await? else { break };
                keys.push(keys::delivery(&id));
            }
            if keys.is_empty() {
                return Ok(Vec::new());
            }
            let items = self.store.backend().get(&keys).await?;
            let rows: Vec<DeliveryRow> = items.into_iter().flatten().filter_map(|item| self.store.readable(&item)).collect();
            if !rows.is_empty() {
                return Ok(rows);
            }
        }
    }

    /// The next entry in the order of making, each once.
    async fn next(&self, list: &mut List) -> Result<Option<Place>, StoreError> {
        loop {
            if list.ended {
                return Ok(None);
            }
            for log in &mut list.logs {
                if log.pages.is_empty() && !log.drained {
                    let range = Range { from: None, before: log.before.clone().or_else(|| list.upto.clone()) };
                    let partition = Partition::Table(log.partition.clone());
                    let read = self.store.backend().query(&partition, &range, Order::Descending, list.pages_read).await?;
                    log.drained = read.len() < list.pages_read;
                    log.before = read.last().map(|item| item.key.sort.clone()).or_else(|| log.before.clone());
                    log.pages = read.into();
                }
            }
            let newest_unread = list.logs.iter().filter_map(|log| log.pages.front()).map(|page| page.key.sort.clone()).max();
            let best = list.found.last_key_value().map(|(place, _)| place.clone());
            // A page's place begins with the time of its flush; nothing on it was made after that.
            let certain =
                |place: &Place| newest_unread.as_ref().is_none_or(|page| keys::sortable(place.0).as_str() > &page[..14]);
            match best {
                Some(place) if certain(&place) => {
                    list.taken_from = list.found.remove(&place).unwrap_or_default();
                    let passed = list.after.as_ref().is_some_and(|after| place >= *after);
                    if !passed && list.seen.insert(place.1.clone()) {
                        return Ok(Some(place));
                    }
                }
                _ => {
                    let Some(newest) = newest_unread else {
                        list.ended = list.found.is_empty();
                        continue;
                    };
                    let log = list.logs.iter_mut().find(|log| log.pages.front().is_some_and(|page| page.key.sort == newest));
                    let Some(page) = log.and_then(|log| log.pages.pop_front()) else { continue };
                    let Some(listed) = self.store.readable::<Page>(&page) else {
                        list.unreadable.push(page.key);
                        continue;
                    };
                    for (id, made) in listed.listed {
                        list.found.insert((made, id), page.key.sort.clone());
                    }
                }
            }
        }
    }

    /// The deliveries of one conversion lie together. Those that the caller may not see are left out here, so that a cursor doesn't reveal
    /// them (V2).
    async fn conversion_list(&self, caller: &Caller, conversion: &Id) -> Result<List, StoreError> {
        let mut list = List::of(Vec::new());
        let (rows, unreadable) = self.deliveries_in(&conversion_hash(conversion)).await?;
        for row in rows.into_iter().filter(|row| caller.sees(&row.owed.owner)) {
            list.found.insert((row.owed.created_at, row.owed.id), String::new());
        }
        list.unreadable = unreadable;
        Ok(list)
    }

    /// All deliveries of one conversion that the caller may see (V2).
    pub(crate) async fn deliveries_of(&self, caller: &Caller, conversion: &Id) -> Result<Vec<DeliveryRow>, StoreError> {
        let (mut rows, _) = self.deliveries_in(&conversion_hash(conversion)).await?;
        rows.retain(|row| caller.sees(&row.owed.owner));
        Ok(rows)
    }

    /// All deliveries of the conversion that this part of their ids names, and the keys of those that can't be read.
    pub(crate) async fn deliveries_in(&self, conversion_part: &str) -> Result<(Vec<DeliveryRow>, Vec<Key>), StoreError> {
        let partition = Partition::Table(keys::conversion(conversion_part));
        let (mut rows, mut unreadable) = (Vec::new(), Vec::new());
        let mut range = Range::prefix("D#");
        loop {
            let items = self.store.backend().query(&partition, &range, Order::Ascending, 500).await?;
            for found in items.iter().filter(|item| !item.key.sort.contains("#A#")) {
                match self.store.readable(found) {
                    Some(row) => rows.push(row),
                    None => unreadable.push(found.key.clone()),
                }
            }
            let Some(end) = items.last().filter(|_| items.len() == 500) else { return Ok((rows, unreadable)) };
            range.from = Some(format!("{}\0", end.key.sort));
        }
    }

    /// The partitions of the log of one rule, or of all rules of the caller.
    pub(crate) async fn logs_of(&self, caller: &Caller, rule: Option<&Id>) -> Result<Vec<String>, Refused> {
        match (rule, caller) {
            (Some(rule), _) => self.logs_of_rule(caller, rule).await,
            (None, Caller::Admin) => Ok(keys::whole_log()),
            (None, Caller::Affiliate(_)) => Ok(self.own_logs(caller).await?),
        }
    }

    /// The log of one rule, which may be gone. An affiliate has none unless it owns or owned the rule (V2).
    async fn logs_of_rule(&self, caller: &Caller, rule: &Id) -> Result<Vec<String>, Refused> {
        let owner = match self.rules.visible(caller, rule).await {
            Ok((rule, _)) => rule.head.owner.clone(),
            Err(Refused::NotFound) => {
                let owner = caller.as_owner();
                let place = Key::new(keys::owned(&owner), rule.as_str());
                if *caller != Caller::Admin && self.store.get_one(place).await?.is_none() {
                    return Ok(Vec::new());
                }
                owner
            }
            Err(other) => return Err(other),
        };
        Ok(keys::rule_log(rule, &owner))
    }

    /// The logs of the rules that an affiliate owns or owned.
    async fn own_logs(&self, caller: &Caller) -> Result<Vec<String>, StoreError> {
        let owner = caller.as_owner();
        let partition = Partition::Table(keys::owned(&owner));
        let rules = self.store.backend().query(&partition, &Range::default(), Order::Ascending, 1_000).await?;
        let rules: BTreeSet<Id> = rules.iter().filter_map(|item| item.key.sort.parse().ok()).collect();
        Ok(rules.iter().flat_map(|rule| keys::rule_log(rule, &owner)).collect())
    }
}

/// A list in the making.
#[derive(Default)]
pub(crate) struct List {
    logs: Vec<PagesOfLog>,
    /// Pages that are read at a time.
    pages_read: usize,
    /// Entries that were read and not given out, with the place of their page.
    found: BTreeMap<Place, String>,
    /// The page of the entry that was given out last.
    taken_from: String,
    seen: HashSet<DeliveryId>,
    /// Keys of rows that can't be read and were not shown yet.
    unreadable: Vec<Key>,
    after: Option<Place>,
    upto: Option<String>,
    ended: bool,
}

#[derive(Default)]
struct PagesOfLog {
    partition: String,
    pages: VecDeque<Item>,
    before: Option<String>,
    drained: bool,
}

impl List {
    pub(crate) fn of(partitions: Vec<String>) -> Self {
        let logs = partitions.into_iter().map(|partition| PagesOfLog { partition, ..PagesOfLog::default() }).collect();
        Self { logs, pages_read: PAGES_READ, ..Self::default() }
    }

    /// A list of which only the beginning is read.
    pub(crate) fn beginning_of(partitions: Vec<String>) -> Self {
        Self { pages_read: FIRST_PAGES_READ, ..Self::of(partitions) }
    }

    fn give_back(&mut self, place: Place) {
        self.seen.remove(&place.1);
        self.found.insert(place, std::mem::take(&mut self.taken_from));
    }

    fn newest_page(&self) -> Option<String> {
        let unread = self.logs.iter().filter_map(|log| log.pages.front()).map(|page| page.key.sort.clone());
        self.found.values().cloned().chain(unread).max()
    }

    fn cursor(&self) -> String {
        // Just past the newest page that is still needed.
        let pages = self.newest_page().filter(|page| !page.is_empty()).map(|page| format!("{page}\u{10FFFF}"));
        let cursor = Cursor { after: self.after.clone(), pages };
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&cursor).expect("times, ids and texts have no failing serializers"))
    }
}

impl DeliveryFilter {
    fn admits(&self, row: &DeliveryRow) -> bool {
        let event = row.owed.event.known();
        let conversion = &event.conversion;
        let transaction = || event.transaction.as_ref().map(|transaction| &transaction.transaction_id);
        (self.states.is_empty() || self.states.contains(&row.state))
            && self.http_status.is_none_or(|status| row.last_status() == Some(status))
            && self.offer_id.as_ref().is_none_or(|offer| *offer == conversion.offer_id)
            && self.transaction_id.as_ref().is_none_or(|id| transaction() == Some(id))
            && self.click_id.as_ref().is_none_or(|id| conversion.affiliate_click_id.as_ref() == Some(id))
            && self.external_id.as_ref().is_none_or(|id| conversion.external_id.as_ref() == Some(id))
            && self.tracking_api_id.as_ref().is_none_or(|rule| *rule == row.owed.rule)
            && self.conversion_id.as_ref().is_none_or(|id| *id == conversion.conversion_id)
            && self.affiliate_id.as_ref().is_none_or(|affiliate| *affiliate == conversion.affiliate_id)
    }
}
