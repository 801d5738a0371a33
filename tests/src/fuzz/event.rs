//! The target `event`: any bytes as a message of the bus.

use tracking_core::{
    change::{Change, Envelope, MAX_EVENT_BYTES},
    event::Event,
    json::{self, Value},
};

/// Reads any bytes as an event. An accepted event is the same after writing and reading, and so are all events that follow from it.
pub fn event(data: &[u8]) {
    let envelope = match Envelope::parse(data) {
        Ok(envelope) => envelope,
        Err(faults) => {
            assert!(!faults.is_empty(), "a refusal says why");
            assert!(!faults.to_string().is_empty());
            return;
        }
    };
    assert!(data.len() <= MAX_EVENT_BYTES, "{} bytes are too many", data.len());
    let written = match &envelope {
        Envelope::ConversionChanged(change) => {
            follows_from(change);
            wrapped("Conversion Changed", &serde_json::to_string(change).expect("a change can be written"))
        }
        Envelope::OfferChanged(offer) => {
            wrapped("Offer Changed", &serde_json::to_string(offer).expect("an offer can be written"))
        }
    };
    assert_eq!(Envelope::from_value(&written), Ok(envelope));
}

fn wrapped(detail_type: &str, detail: &str) -> Value {
    let text = format!(r#"{{"detail-type":"{detail_type}","detail":{detail}}}"#);
    json::parse(text.as_bytes()).expect("what is written can be read")
}

/// Checks the events of a change, as queue messages carry them.
fn follows_from(change: &Change) {
    assert_eq!(Change::parse_given(&Value::from_serialize(change).expect("a change can be written"), ""), Ok(change.clone()));
    for event in change.events() {
        let text = serde_json::to_string(&event).expect("an event can be written");
        let read = json::parse(text.as_bytes()).expect("what is written can be read");
        assert_eq!(Event::from_value(&read).as_ref(), Ok(&event));
        assert_eq!(Event::from_value(&event.to_value()).as_ref(), Ok(&event));
    }
}
