//! A sale to try rules with, if a person gives no event.

use jiff::{SignedDuration, Timestamp};

use super::Change;
use crate::{id::Id, json};

impl Change {
    /// A new sale of this affiliate whose transaction gets its result at once, as the platform publishes it at `now`: it is created and
    /// updated, so that nearly every trigger fires on it.
    pub fn sample(affiliate: Option<&Id>, now: Timestamp) -> Self {
        let before = |minutes| now - SignedDuration::from_mins(minutes);
        let detail = json!({
            "change_id": "chg_sample", "occurred_at": now,
            "conversion": {
                "conversion_id": "cnv_sample", "version": 1, "change": "created", "type": "sale", "source": "link",
                "affiliate_id": affiliate.map_or("aff_sample", Id::as_str), "advertiser_id": "adv_sample",
                "advertiser_name": "Sample Bank", "offer_id": "off_sample", "offer_name": "Sample Loan CZ",
                "channel_id": "chn_sample", "channel": "main", "integration_id": "int_sample", "country": "CZ",
                "pcid": "0193f1c2b7a4", "external_id": "ORDER-10427", "affiliate_click_id": "w3xk9s1c7t5m",
                "affs": {"affs1": "summer", "affs2": "banner-300x250"}, "value": "1490.00", "currency": "CZK", "voucher": "WINTER10",
                "query_params": {"utm_source": "newsletter", "utm_campaign": "winter", "gclid": "Cj0KCQiA", "fbclid": "IwAR2x"},
                "cookie_params": {"fbp": "fb.1.1763800000000.1234567890", "_ga": "GA1.1.1234567890.1763800000"},
                "ip": "203.0.113.9", "user_agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0 Safari/537.36",
                "click_at": before(42), "created_at": before(1), "updated_at": before(1),
            },
            "transactions": [{
                "transaction_id": "trx_sample", "version": 1, "change": "created", "commission_id": "com_sample", "type": "sale",
                "result": "approved", "payout": "120.00", "revenue": "180.00", "currency": "CZK", "auto_set": true,
                "created_at": before(1), "updated_at": before(1), "result_at": before(1),
            }],
        });
        Self::parse_detail(&detail, "").expect("every field of the sample is valid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventKind::{ConversionCreated, TransactionCreated, TransactionUpdated};

    #[test]
    fn the_sample_is_a_sale_that_fires_nearly_every_trigger() {
        let own: Id = "aff_7".parse().unwrap();
        let sale = Change::sample(Some(&own), "2026-11-22T09:00:00Z".parse().unwrap());
        assert_eq!(sale.conversion.affiliate_id, own);
        assert_eq!(sale.conversion.click_at, Some("2026-11-22T08:18:00Z".parse().unwrap()));
        let kinds: Vec<_> = sale.events().iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [ConversionCreated, TransactionCreated, TransactionUpdated]);
        assert!(sale.is_settled());
    }
}
