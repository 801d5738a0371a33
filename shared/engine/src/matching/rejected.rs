//! Bad events (docs/events-in.md): kept with their faults until somebody sends them in again, as they are or mended.

use tracking_core::{
    caller::Caller,
    change::Envelope,
    fault::{Fault, Faults},
    json,
    json::Value,
};

use crate::{
    Accepted, MOST_PAGE_BYTES,
    backend::{Backend, Effects, Key, Order, Partition, Range, StoreError},
    keys,
    matching::Matcher,
    rows,
    rules::Refused,
    store::{rejected::RejectedRow, unreadable},
};

/// An id that is longer is none of ours, and longer than some stores take.
const LONGEST_ID_BYTES: usize = 128;

impl<B: Backend> Matcher<B> {
    /// Bad events, newest first, and the place at which the next page begins. Admins alone may ask: an event names affiliates.
    pub async fn rejected(&self, limit: usize, before: Option<&str>) -> Result<(Vec<Value>, Option<String>), StoreError> {
        let partition = Partition::Table(keys::REJECTED.to_owned());
        let mut before = before.map(place_of);
        let (mut found, mut bytes, mut last) = (Vec::new(), 0, None);
        loop {
            let range = Range { from: None, before: before.clone() };
            let items = self.store.backend().query(&partition, &range, Order::Descending, 20).await?;
            for item in &items {
                // One more than fits shows that there is a next page.
                if found.len() == limit || (bytes + item.body.len() > MOST_PAGE_BYTES && !found.is_empty()) {
                    return Ok((found, last));
                }
                let id = id_of(&item.key.sort);
                bytes += item.body.len();
                match self.store.readable::<RejectedRow>(item) {
                    Some(RejectedRow { received_at, event, errors, cut }) => {
                        found.push(json!({"id": id, "received_at": received_at, "event": event, "errors": errors, "cut": cut}));
                    }
                    None => found.extend(unreadable::shown(&Caller::Admin, &item.key)),
                }
                before = Some(item.key.sort.clone());
                last = Some(id);
            }
            if items.len() < 20 {
                return Ok((found, None));
            }
        }
    }

    /// Takes a bad event over after all: as it was received, which helps once this engine can read it, or as `mended`, an envelope or its
    /// detail alone. It leaves the list when all its effects are durable.
    ///
    /// # Errors
    /// There is no such event, or it is still bad: then it stays, and nothing follows from it.
    pub async fn resubmit(&self, id: &str, mended: Option<&Value>) -> Result<(), Refused> {
        if id.len() > LONGEST_ID_BYTES {
            return Err(Refused::NotFound);
        }
        let key = Key::new(keys::REJECTED, place_of(id));
        let Some(item) = self.store.get_one(key.clone()).await? else { return Err(Refused::NotFound) };
        let event = match mended {
            Some(event) => enveloped(event).to_string(),
            None => match rows::read_item::<RejectedRow>(&item)? {
                RejectedRow { cut: true, .. } => {
                    let missing = "missing: only the beginning of this event is kept, so give all of it";
                    return Err(Refused::Faults(Faults::one("/event", missing)));
                }
                RejectedRow { event, .. } => event,
            },
        };
        if let Err(faults) = Envelope::parse(event.as_bytes()) {
            return Err(Refused::Faults(placed(faults, mended)));
        }
        match self.accept(&[event.as_bytes()]).await?.pop() {
            Some(Accepted::Yes(_)) => {}
            Some(Accepted::Rejected(faults) | Accepted::TooLarge(faults)) => return Err(Refused::Faults(placed(faults, mended))),
            None => return Err(StoreError::Unavailable("the event was not taken over".to_owned()).into()),
        }
        self.store.commit_one(Effects { delete: vec![key], ..Effects::default() }).await?;
        Ok(())
    }
}

/// An event as people give it: an envelope, or its detail alone, which is a conversion's.
fn enveloped(event: &Value) -> Value {
    if event.get("detail-type").is_some() { event.clone() } else { json!({"detail-type": "Conversion Changed", "detail": event}) }
}

/// Faults under `/event`, at the place where the person wrote them; of an event as it was received, under its own places.
fn placed(mut faults: Faults, mended: Option<&Value>) -> Faults {
    let Some(event) = mended else { return faults };
    if event.get("detail-type").is_none() {
        for Fault { pointer, .. } in &mut faults.0 {
            *pointer = pointer.strip_prefix("/detail").unwrap_or(pointer).to_owned();
        }
    }
    faults.below("/event")
}

/// A place in the list as an id that a path can hold.
fn id_of(place: &str) -> String {
    place.replace('#', "-")
}

fn place_of(id: &str) -> String {
    id.replace('-', "#")
}
