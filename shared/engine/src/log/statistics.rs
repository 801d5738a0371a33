//! Statistics over time, counted by their readers: a postback writes nothing for them.
//!
//! Pages of the log are in the order of their flush, so that the deliveries that the log first recorded in an hour are those on the pages
//! of that hour. A reader counts the states of these deliveries, newest hour first, and keeps the counts in a row for each day. The next
//! reader counts only hours that may have changed since ([`Counted::is_due`]). A call looks at a bounded number of deliveries; an hour
//! that it leaves half counted is taken up by the next call.
//!
//! Rows are kept per caller and rule: an affiliate's row never counts a delivery that the affiliate may not see (V2).

use std::collections::{BTreeMap, HashSet};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use tracking_core::{
    caller::{Caller, Owner},
    delivery::{DeliveryId, State},
    id::Id,
    statistics::{BucketSize, Counted, DAY_HOURS, Figures, Percentiles, StatisticsPeriod, beginning_of},
};

use super::{Log, pages::Pages};
use crate::{
    backend::{Backend, Item, Key, Order, Partition, Range, StoreError, Swap, Swapped},
    keys,
    recorder::Page,
    rows,
    rules::Refused,
    store::Store,
};

/// Deliveries that one call looks at, at most; a page is counted whole.
const MOST_COUNTED: usize = 5_000;
/// Reads of pages after which a call begins no further hour.
const MOST_PAGE_READS: usize = 500;
/// Deliveries fetched at a time.
const FETCH: usize = 100;
/// The time for which counts are kept.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 402);

/// The deliveries that are asked for (docs/api.md).
#[derive(Debug, Clone)]
pub struct StatisticsQuery {
    /// Only those of this rule.
    pub tracking_api_id: Option<Id>,
    /// The size of buckets.
    pub size: BucketSize,
    /// The beginning of the period.
    pub from: Option<Timestamp>,
    /// The end of the period.
    pub to: Option<Timestamp>,
}

/// The deliveries of a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Its buckets, oldest first.
    pub buckets: Vec<StatisticsBucket>,
    /// `false` if a call has to be repeated until everything is counted.
    pub complete: bool,
}

/// The deliveries of an hour or a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatisticsBucket {
    /// The beginning.
    pub at: Timestamp,
    /// Deliveries by their state.
    pub counts: BTreeMap<State, u64>,
    /// Percentiles of the time from creation to delivery; `None` if nothing was delivered.
    pub latency: Option<Percentiles>,
}

/// The hours of a day as they were counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct DayRow {
    #[serde(rename = "h", default)]
    hours: BTreeMap<i64, HourRow>,
}

/// An hour as it was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct HourRow {
    #[serde(rename = "c", default, skip_serializing_if = "Option::is_none")]
    counted: Option<Counted>,
    #[serde(rename = "p", default, skip_serializing_if = "Option::is_none")]
    partial: Option<Partial>,
}

/// A count that a call left unfinished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Partial {
    #[serde(rename = "c")]
    counted: Counted,
    /// The place of the oldest page that was counted.
    #[serde(rename = "b")]
    before: String,
}

/// One reading: deliveries that the caller may see, of one rule or of all, are counted.
struct Count<'a, B> {
    store: &'a Store<B>,
    caller: &'a Caller,
    rule: Option<&'a Id>,
}

/// The rows of the days of a period.
#[derive(Default)]
struct Days {
    rows: BTreeMap<i64, KeptDay>,
}

/// A day's row with the revision that it was read with.
#[derive(Default)]
struct KeptDay {
    row: DayRow,
    rev: Option<u64>,
    is_changed: bool,
}

/// The part of a delivery's row that is counted; the rest is not parsed.
#[derive(Deserialize)]
struct CountedRow {
    #[serde(rename = "job")]
    owed: CountedDelivery,
    state: State,
    #[serde(default)]
    ended_at: Option<Timestamp>,
}

#[derive(Deserialize)]
struct CountedDelivery {
    rule: Id,
    owner: Owner,
    #[serde(default)]
    held: bool,
    created_at: Timestamp,
}

impl<B: Backend> Log<B> {
    /// The deliveries of a period that the caller may see (V2): those of one rule, or of all.
    ///
    /// # Errors
    /// The period is too long, or ends before it begins.
    pub async fn statistics(&self, caller: &Caller, query: &StatisticsQuery) -> Result<Statistics, Refused> {
        let period = StatisticsPeriod::new(query.size, query.from, query.to, self.store.now()).map_err(Refused::Faults)?;
        let count = Count { store: &self.store, caller, rule: query.tracking_api_id.as_ref() };
        let logs = self.logs_of(caller, count.rule).await?;
        let buckets = |days: &Days| period.buckets().map(|hours| days.bucket(hours)).collect();
        if logs.is_empty() || period.hours().is_empty() {
            return Ok(Statistics { buckets: buckets(&Days::default()), complete: true });
        }
        let partition = keys::statistics(caller, count.rule);
        let mut days = count.kept_days(&partition, &period).await?;
        let complete = count.count(logs, &period, &mut days).await?;
        let buckets = buckets(&days);
        count.keep(&partition, days.into_changed()).await;
        Ok(Statistics { buckets, complete })
    }
}

impl<B: Backend> Count<'_, B> {
    async fn kept_days(&self, partition: &str, period: &StatisticsPeriod) -> Result<Days, StoreError> {
        let hours = period.hours();
        let (first, last) = (hours.start.div_euclid(DAY_HOURS), (hours.end - 1).div_euclid(DAY_HOURS));
        let range = Range { from: Some(keys::day(first)), before: Some(keys::day(last + 1)) };
        let most = usize::try_from(last - first).unwrap_or(0) + 1;
        let items = self.store.backend().query(&Partition::Table(partition.to_owned()), &range, Order::Ascending, most).await?;
        let kept = items.into_iter().filter_map(|item| {
            let row = self.store.readable::<DayRow>(&item)?;
            Some((item.key.sort.parse().ok()?, KeptDay { row, rev: Some(item.rev), is_changed: false }))
        });
        Ok(Days { rows: kept.collect() })
    }

    /// Counts the hours of the period that may have changed, newest first. Returns false if some are left for the next call.
    async fn count(&self, logs: Vec<String>, period: &StatisticsPeriod, days: &mut Days) -> Result<bool, StoreError> {
        let now = self.store.now();
        // Older deliveries are gone from the log, in part at least.
        let oldest = keys::hour(now.saturating_sub(self.store.settings.log_retention).unwrap_or(Timestamp::MIN)) + 1;
        let due: Vec<i64> = period.hours().rev().filter(|hour| *hour >= oldest && days.is_due(*hour, now)).collect();
        let Some(first) = due.last() else { return Ok(true) };
        let mut pages = Pages::of(logs, keys::sortable(beginning_of(*first)));
        let mut left = MOST_COUNTED;
        for hour in due {
            if left == 0 || pages.queries >= MOST_PAGE_READS {
                return Ok(false);
            }
            if !self.count_hour(&mut pages, hour, days.hour_mut(hour), &mut left).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts an hour from where a call left it. Returns false if it leaves it unfinished.
    async fn count_hour(&self, pages: &mut Pages, hour: i64, row: &mut HourRow, left: &mut usize) -> Result<bool, StoreError> {
        let (start, end) = (keys::sortable(beginning_of(hour)), keys::sortable(beginning_of(hour + 1)));
        let begun = || Partial { counted: Counted { at: self.store.now(), figures: Figures::default() }, before: end };
        let Partial { mut counted, mut before } = row.partial.take().unwrap_or_else(begun);
        pages.pass_over(&before);
        let (mut seen, mut ids) = (HashSet::new(), Vec::new());
        loop {
            // The pages of one flush in the logs of several rules have the same place: all of them or none.
            let place = if *left > 0 { &start } else { &before };
            let Some(page) = pages.next(self.store, place).await? else { break };
            let listed = self.store.readable::<Page>(&page).map(|page| page.listed).unwrap_or_default();
            *left = left.saturating_sub(listed.len().max(1));
            ids.extend(listed.into_iter().map(|(id, _)| id).filter(|id| seen.insert(id.clone())));
            before = page.key.sort;
            if ids.len() >= FETCH {
                self.count_deliveries(&std::mem::take(&mut ids), &mut counted.figures).await?;
            }
        }
        self.count_deliveries(&ids, &mut counted.figures).await?;
        if *left == 0 {
            row.partial = Some(Partial { counted, before });
            return Ok(false);
        }
        row.counted = Some(counted);
        Ok(true)
    }

    async fn count_deliveries(&self, ids: &[DeliveryId], figures: &mut Figures) -> Result<(), StoreError> {
        for some in ids.chunks(FETCH) {
            let keys: Vec<Key> = some.iter().map(keys::delivery).collect();
            for item in self.store.get_all(&keys).await?.into_iter().flatten() {
                let Some(row) = self.store.readable::<CountedRow>(&item) else { continue };
                if self.has(&row.owed) {
                    figures.add(row.state, row.latency());
                }
            }
        }
        Ok(())
    }

    fn has(&self, owed: &CountedDelivery) -> bool {
        self.caller.sees(&owed.owner) && self.rule.is_none_or(|rule| *rule == owed.rule)
    }

    /// Keeps the counts, unless another reader has counted them meanwhile. A store that refuses costs the next reader time only.
    async fn keep(&self, partition: &str, changed: Vec<(i64, KeptDay)>) {
        let swap = |(day, KeptDay { row, rev, .. }): (i64, KeptDay)| {
            let key = Key::new(partition, keys::day(day));
            let expires = beginning_of(day.saturating_mul(DAY_HOURS)).saturating_add(KEPT).ok();
            Swap { expect: rev, new: Some(Item { expires, ..rows::item(key.clone(), &row) }), key }
        };
        let swaps: Vec<Swap> = changed.into_iter().map(swap).collect();
        if swaps.is_empty() {
            return;
        }
        for swapped in self.store.backend().swap(swaps).await {
            if let Swapped::Unavailable(error) = swapped {
                tracing::warn!(%error, "statistics that were counted are not kept");
            }
        }
    }
}

impl Days {
    fn hour(&self, hour: i64) -> Option<&HourRow> {
        self.rows.get(&hour.div_euclid(DAY_HOURS))?.row.hours.get(&hour)
    }

    fn hour_mut(&mut self, hour: i64) -> &mut HourRow {
        let day = self.rows.entry(hour.div_euclid(DAY_HOURS)).or_default();
        day.is_changed = true;
        day.row.hours.entry(hour).or_default()
    }

    fn is_due(&self, hour: i64, now: Timestamp) -> bool {
        self.hour(hour).is_none_or(|HourRow { counted, partial }| {
            partial.is_some() || counted.as_ref().is_none_or(|counted| counted.is_due(beginning_of(hour + 1), now))
        })
    }

    /// The sum of these hours. While an hour is counted again, its earlier count holds.
    fn bucket(&self, hours: std::ops::Range<i64>) -> StatisticsBucket {
        let mut sum = Figures::default();
        for row in hours.clone().filter_map(|hour| self.hour(hour)) {
            let counted = row.counted.as_ref().or(row.partial.as_ref().map(|partial| &partial.counted));
            if let Some(counted) = counted {
                sum.merge(&counted.figures);
            }
        }
        StatisticsBucket { at: beginning_of(hours.start), latency: sum.latency.percentiles(), counts: sum.counts }
    }

    /// The days that were counted; none if nothing was found so far, so that a rule that sends nothing has no rows.
    fn into_changed(self) -> Vec<(i64, KeptDay)> {
        let has_figures = |hour: &HourRow| {
            hour.partial.is_some() || hour.counted.as_ref().is_some_and(|hour| hour.figures != Figures::default())
        };
        let is_found = |day: &KeptDay| day.rev.is_some() || day.row.hours.values().any(has_figures);
        if !self.rows.values().any(is_found) {
            return Vec::new();
        }
        self.rows.into_iter().filter(|(_, day)| day.is_changed).collect()
    }
}

impl CountedRow {
    /// The time from creation to delivery; `None` if it was not delivered, or was held back on purpose.
    fn latency(&self) -> Option<SignedDuration> {
        let ended_at = self.ended_at.filter(|_| self.state == State::Delivered && !self.owed.held)?;
        Some(ended_at.duration_since(self.owed.created_at).max(SignedDuration::ZERO))
    }
}
