//! EventBridge: the events that were put on the bus, in order.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::{Number, Value, json};

use super::{
    ACCOUNT, BUS, REGION,
    counts::{Bill, chunks},
    wire::{Refused, Reply, read},
};

/// Most events of one call.
const MOST_ENTRIES: usize = 10;
/// Most bytes of one call.
const MOST_BYTES: usize = 1024 * 1024;

/// An event as it was put on the bus.
#[derive(Debug, Clone, PartialEq)]
pub struct BusEvent {
    /// The id.
    pub id: String,
    /// The time of the event.
    pub time: Timestamp,
    /// The source.
    pub source: String,
    /// The detail-type.
    pub detail_type: String,
    /// The detail.
    pub detail: Value,
}

impl BusEvent {
    /// Returns the event in the form that a rule's target gets.
    pub fn json(&self) -> Value {
        json!({
            "version": "0", "id": self.id, "source": self.source, "detail-type": self.detail_type, "time": self.time,
            "account": ACCOUNT, "region": REGION, "resources": [], "detail": self.detail,
        })
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Put {
    entries: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Entry {
    time: Option<Number>,
    source: Option<String>,
    detail_type: Option<String>,
    detail: Option<String>,
    event_bus_name: Option<String>,
}

impl Entry {
    /// Returns the size as AWS counts it.
    fn size(&self) -> usize {
        let texts = [&self.source, &self.detail_type, &self.detail];
        let time = if self.time.is_some() { 14 } else { 0 };
        time + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }

    fn event(self, id: String, now: Timestamp) -> Result<BusEvent, (&'static str, String)> {
        let missing =
            |what: &str| ("InvalidArgument", format!("Parameter {what} is not valid. Reason: {what} is a required argument."));
        let given = |text: Option<String>, what: &str| text.filter(|text| !text.is_empty()).ok_or_else(|| missing(what));
        if self.event_bus_name.as_deref() != Some(BUS) {
            // AWS accepts such an event and loses it; here the test fails.
            return Err(("InvalidArgument", format!("the one bus here is {BUS}, not {:?}", self.event_bus_name)));
        }
        let source = given(self.source, "Source")?;
        let detail_type = given(self.detail_type, "DetailType")?;
        let detail: Value = serde_json::from_str(&given(self.detail, "Detail")?)
            .ok()
            .filter(Value::is_object)
            .ok_or_else(|| ("MalformedDetail", "Detail is malformed.".to_owned()))?;
        let time = self.time.map_or(Some(now), |time| moment(&time));
        let time = time.ok_or_else(|| ("InvalidArgument", "Parameter Time is not valid.".to_owned()))?;
        Ok(BusEvent { id, time, source, detail_type, detail })
    }
}

/// Puts events on the bus, each on its own.
pub(super) fn call(
    published: &mut Vec<BusEvent>,
    action: &str,
    body: &str,
    leave: &[usize],
    now: Timestamp,
    bill: &mut Bill,
) -> Reply {
    if action != "PutEvents" {
        return Err(Refused::unknown(action));
    }
    let put: Put = read(body)?;
    if !(1..=MOST_ENTRIES).contains(&put.entries.len()) {
        let why = format!("{} entries: there must be 1 to {MOST_ENTRIES}", put.entries.len());
        return Err(Refused::bad("ValidationException", &why));
    }
    if put.entries.iter().map(Entry::size).sum::<usize>() > MOST_BYTES {
        return Err(Refused::bad("ValidationException", "Total size of the entries in the request is over the limit."));
    }
    let mut results = Vec::new();
    for (at, entry) in put.entries.into_iter().enumerate() {
        let size = entry.size();
        let id = format!("00000000-0000-4000-9000-{:012x}", published.len() + 1);
        let event =
            if leave.contains(&at) { Err(("InternalFailure", "a fault, as ordered".to_owned())) } else { entry.event(id, now) };
        results.push(match event {
            Ok(event) => {
                let id = event.id.clone();
                published.push(event);
                bill.entries += 1;
                bill.halves += 2 * chunks(size);
                json!({"EventId": id})
            }
            Err((code, why)) => json!({"ErrorCode": code, "ErrorMessage": why}),
        });
    }
    let failed = results.iter().filter(|entry| entry.get("ErrorCode").is_some()).count();
    Ok(json!({"FailedEntryCount": failed, "Entries": results}))
}

/// Reads a time in the protocol's form: seconds since 1970, with a fraction.
fn moment(seconds: &Number) -> Option<Timestamp> {
    let time = SignedDuration::try_from_secs_f64(seconds.as_f64()?).ok()?;
    Timestamp::from_millisecond(i64::try_from((time.as_nanos() + 500_000).div_euclid(1_000_000)).ok()?).ok()
}
