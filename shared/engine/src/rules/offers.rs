//! Offers: a rule's country and category come from them (V1).

use serde::{Deserialize, Serialize};
use tracking_core::{caller::Caller, id::Id, json, json::Value, offer::Offer};

use crate::{
    backend::{Backend, Effects, Item, Key, Order, Partition, Range, StoreError},
    keys,
    rows::{self, Unreadable},
    rules::Rules,
    store::unreadable,
};

#[derive(Serialize, Deserialize)]
struct OfferRow {
    name: Option<String>,
    country: Option<String>,
    category: Option<String>,
}

impl<B: Backend> Rules<B> {
    /// Keeps an offer as it now is; the last write counts.
    pub async fn put_offer(&self, offer: &Offer) -> Result<(), StoreError> {
        self.store.commit_one(Effects { put: vec![offer_item(offer)], ..Effects::default() }).await
    }

    /// One offer.
    pub(crate) async fn offer(&self, id: &Id) -> Result<Option<Offer>, StoreError> {
        let item = self.store.get_one(Key::new(keys::OFFERS, id.as_str())).await?;
        Ok(item.and_then(|item| self.store.or_unreadable(&item, read(id, &item))))
    }

    /// Offers, for admins, in the order of their ids after `after`, and the place at which the next page begins.
    pub async fn offers(&self, limit: usize, after: Option<String>) -> Result<(Vec<Value>, Option<String>), StoreError> {
        let range = Range { from: after.map(|after| format!("{after}\0")), before: None };
        let partition = Partition::Table(keys::OFFERS.to_owned());
        // One more than asked for shows whether there is a next page.
        let mut items = self.store.backend().query(&partition, &range, Order::Ascending, limit + 1).await?;
        let more = items.len() > limit;
        items.truncate(limit);
        let mut offers = Vec::new();
        for item in &items {
            let Ok(id) = item.key.sort.parse::<Id>() else { continue };
            match self.store.or_unreadable(item, read(&id, item)) {
                Some(offer) => offers.push(json!(offer)),
                None => offers.extend(unreadable::shown(&Caller::Admin, &item.key)),
            }
        }
        let next = items.last().filter(|_| more).map(|item| item.key.sort.clone());
        Ok((offers, next))
    }
}

pub(crate) fn offer_item(offer: &Offer) -> Item {
    let row = OfferRow { name: offer.name.clone(), country: offer.country.clone(), category: offer.category.clone() };
    rows::item(Key::new(keys::OFFERS, offer.offer_id.as_str()), &row)
}

fn read(id: &Id, item: &Item) -> Result<Offer, Unreadable> {
    let row: OfferRow = rows::read(&item.body)?;
    Ok(Offer { offer_id: id.clone(), name: row.name, country: row.country, category: row.category })
}
