//! Posting the events as they happened: in their order, in batches, a conversion's next change after the postbacks of the one before.
//!
//! What is owed supposes that each change is worked before the next one of its conversion comes. A newer change that is claimed
//! first supersedes an older one that is not known yet (P3), and then which postbacks arrive would hang on the machine's threads.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{
    api::{Api, ApiError},
    sample::Sample,
    screen::Screen,
};

/// The most events that are posted together.
const BATCH: usize = 25;
/// How long a change waits for the postbacks of the one before; then it is posted all the same, and the check tells what is missing.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What of an event decides when it is posted.
#[derive(Debug, Deserialize)]
struct Event {
    detail: Detail,
}

#[derive(Debug, Deserialize)]
struct Detail {
    change_id: String,
    conversion: Conversion,
}

#[derive(Debug, Deserialize)]
struct Conversion {
    conversion_id: String,
}

/// Events that go out together: of each conversion one change.
#[derive(Debug, Default, PartialEq, Eq)]
struct Batch<'e> {
    events: Vec<&'e str>,
    /// The changes by their conversions.
    changes: BTreeMap<String, String>,
}

/// Posts all events of the sample. `keys` are the rules' keys by their ids.
///
/// # Errors
/// The server does not take them.
pub(super) async fn post(api: &Api, sample: &Sample, keys: &BTreeMap<String, String>, screen: &Screen) -> Result<(), ApiError> {
    let first_tries = first_tries(sample);
    let mut posted: HashMap<String, usize> = HashMap::new();
    let mut told = HashSet::new();
    for batch in batches(&sample.events) {
        for conversion in batch.changes.keys() {
            if let Some(owed) = posted.get(conversion).filter(|owed| **owed > 0) {
                worked(api, sample, keys, conversion, *owed).await?;
            }
        }
        screen.posted(api.post(&batch.events).await?);
        for (conversion, change) in batch.changes {
            // The same change again owes nothing more (P2).
            if told.insert(change.clone()) {
                *posted.entry(conversion).or_default() += first_tries.get(change.as_str()).copied().unwrap_or(0);
            }
        }
    }
    Ok(())
}

/// How many postbacks are sent for each change at once, by its id.
fn first_tries(sample: &Sample) -> HashMap<&str, usize> {
    let mut tries = HashMap::new();
    for row in sample.owed.rules.values().flat_map(|rule| &rule.owed).filter(|row| row.requests > 0) {
        if let Some(change) = &row.change_id {
            *tries.entry(change.as_str()).or_default() += 1;
        }
    }
    tries
}

/// Cuts the events into batches, in their order.
fn batches<'e>(events: &[&'e str]) -> Vec<Batch<'e>> {
    let mut batches = vec![Batch::default()];
    for event in events {
        let Event { detail } = serde_json::from_str(event).expect("the sample events are built in, and a test reads them");
        let conversion = detail.conversion.conversion_id;
        let is_full = |batch: &Batch<'_>| batch.events.len() == BATCH || batch.changes.contains_key(&conversion);
        if batches.last().is_none_or(is_full) {
            batches.push(Batch::default());
        }
        if let Some(batch) = batches.last_mut() {
            batch.events.push(event);
            batch.changes.insert(conversion, detail.change_id);
        }
    }
    batches
}

/// Waits until so many postbacks about a conversion have had their first attempt; final ones don't count.
async fn worked(
    api: &Api,
    sample: &Sample,
    keys: &BTreeMap<String, String>,
    conversion: &str,
    owed: usize,
) -> Result<(), ApiError> {
    let is_final = |key: &str| sample.rules.iter().any(|rule| rule.key == key && rule.is_final());
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let deliveries = api.deliveries(keys, &format!("conversion_id={conversion}&")).await?;
        let tried = deliveries.iter().filter(|delivery| delivery.attempts > 0 && !is_final(&delivery.key)).count();
        if tried >= owed {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_holds_one_change_of_a_conversion() {
        let event = |change: &str, conversion: &str| {
            format!(r#"{{"detail": {{"change_id": "{change}", "conversion": {{"conversion_id": "{conversion}"}}}}}}"#)
        };
        let events = [event("chg_1", "cnv_1"), event("chg_2", "cnv_2"), event("chg_3", "cnv_1"), event("chg_3", "cnv_1")];
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let cut: Vec<Vec<String>> = batches(&events).into_iter().map(|batch| batch.changes.into_values().collect()).collect();
        assert_eq!(cut, [vec!["chg_1", "chg_2"], vec!["chg_3"], vec!["chg_3"]]);
    }

    #[test]
    fn the_samples_events_all_go_out_in_their_order() {
        let sample = Sample::load();
        let posted: Vec<&str> = batches(&sample.events).into_iter().flat_map(|batch| batch.events).collect();
        assert_eq!(posted, sample.events);
        // T1, T2, T4 and T5 of the stories, and the warehouse.
        assert_eq!(first_tries(&sample)["chg_r4_1"], 5);
    }
}
