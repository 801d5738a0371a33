//! A transaction event and its scope, for tests.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    answer::Response,
    change::{ChangeKind, Conversion, Transaction, TransactionResult},
    event::{Event, EventKind},
    template::{At, Scope, Steps},
};

fn conversion() -> Conversion {
    let map = |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Conversion {
        conversion_id: "cnv_1".parse().unwrap(),
        version: 3,
        change: ChangeKind::Updated,
        conversion_type: "sale".into(),
        custom_type: None,
        source: "link".into(),
        affiliate_id: "aff_7".parse().unwrap(),
        advertiser_id: "adv_2".parse().unwrap(),
        advertiser_name: Some("Bank".into()),
        offer_id: "off_5".parse().unwrap(),
        offer_name: Some("Loan CZ".into()),
        channel_id: Some("chn_1".parse().unwrap()),
        channel: Some("main".into()),
        integration_id: Some("int_3".parse().unwrap()),
        country: Some("CZ".into()),
        pcid: Some("pc-1".into()),
        external_id: Some("X-77".into()),
        affiliate_click_id: Some("click 1/2".into()),
        affs: map(&[("affs1", "summer"), ("affs10", "z")]),
        value: Some("100.00".parse().unwrap()),
        currency: Some("EUR".into()),
        voucher: None,
        query_params: map(&[("utm_source", "mail"), ("q.dotted", "d")]),
        cookie_params: map(&[("fbp", "fb.1")]),
        ip: Some("203.0.113.9".into()),
        user_agent: Some("Mozilla/5.0 (X11)".into()),
        click_at: Some("2026-11-22T08:00:00Z".parse().unwrap()),
        created_at: Some("2026-11-22T08:30:00Z".parse().unwrap()),
        updated_at: Some("2026-11-22T08:59:00Z".parse().unwrap()),
        settled: None,
    }
}

fn transaction() -> Transaction {
    Transaction {
        transaction_id: "trx_1".parse().unwrap(),
        version: Some(2),
        change: Some(ChangeKind::Updated),
        commission_id: Some("com_1".into()),
        transaction_type: Some("sale".into()),
        result: TransactionResult::Approved,
        previous_result: Some(TransactionResult::Pending),
        payout: Some("5.00".parse().unwrap()),
        revenue: Some("8.00".parse().unwrap()),
        currency: Some("CZK".into()),
        auto_approved: false,
        auto_set: false,
        created_at: None,
        updated_at: Some("2026-11-22T08:59:30Z".parse().unwrap()),
        result_at: Some("2026-11-22T08:59:31Z".parse().unwrap()),
    }
}

/// The example event of docs/events-in.md, with every field set.
pub(crate) fn event() -> Event {
    Event {
        change_id: "chg_0001".parse().unwrap(),
        occurred_at: "2026-11-22T08:59:59.120Z".parse().unwrap(),
        causation: None,
        kind: EventKind::TransactionUpdated,
        conversion: Arc::new(conversion()),
        transaction: Some(transaction()),
        is_final: true,
        is_correction: false,
    }
}

/// The same event with a hostile or otherwise special click id, which `{click_id}` reads.
pub(crate) fn event_with_click_id(click_id: &str) -> Event {
    let mut event = event();
    Arc::make_mut(&mut event.conversion).affiliate_click_id = Some(click_id.to_owned());
    event
}

/// Calls `with` with a scope of attempt 2 around an event.
pub(crate) fn in_scope<T>(event: &Event, answer: Option<&Response>, with: impl FnOnce(&Scope<'_>) -> T) -> T {
    let secrets = BTreeMap::from([("token".to_owned(), "s3cr3t/+".to_owned()), ("key".to_owned(), "key".to_owned())]);
    let variables = BTreeMap::from([("ticket".to_owned(), "T-5".to_owned())]);
    with(&Scope {
        event,
        delivery_id: "dlv_1",
        tracking_api_id: "trk_1",
        attempt: 2,
        at: At::default(),
        is_test: false,
        masks: false,
        now: "2026-11-22T09:00:01Z".parse().unwrap(),
        secrets: &secrets,
        variables: &variables,
        answer,
        bound: None,
        steps: Steps::default(),
    })
}
