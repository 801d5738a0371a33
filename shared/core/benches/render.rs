//! The cost of rendering a URL with ten macros, beside a yardstick that replaces placeholders one after the other.

use std::{collections::BTreeMap, hint::black_box, sync::Arc};

use divan::{Bencher, counter::BytesCount};
use tracking_core::{
    change::{ChangeKind, Conversion, Transaction, TransactionResult},
    event::{Event, EventKind},
    fault::Faults,
    request::Request,
    template::{Allowed, At, Place, Scope, Steps, Template},
};

const URL: &str = "https://postback.receiver.example/v2/conversions/{conversion_id}?click={click_id}&transaction={transaction_id}\
    &status={result}&payout={payout}&currency={payout_currency}&offer={offer_id}&sub={affs1}&campaign={query.utm_source}&at={event_at}";

const RENDERED: &str = "https://postback.receiver.example/v2/conversions/cnv_01h455vb4pex5vsknk084sn02q?click=b9f1%2F77%20summer\
    &transaction=trx_01h455vb4pex5vsknk084sn02r&status=approved&payout=5.00&currency=EUR&offer=off_5&sub=summer-sale-cz\
    &campaign=november&at=2026-11-22T08%3A59%3A59.12Z";

fn main() {
    divan::main();
}

fn conversion() -> Conversion {
    Conversion {
        conversion_id: "cnv_01h455vb4pex5vsknk084sn02q".parse().expect("an id"),
        version: 3,
        change: ChangeKind::Updated,
        conversion_type: "sale".into(),
        custom_type: None,
        source: "link".into(),
        affiliate_id: "aff_7".parse().expect("an id"),
        advertiser_id: "adv_2".parse().expect("an id"),
        advertiser_name: None,
        offer_id: "off_5".parse().expect("an id"),
        offer_name: None,
        channel_id: None,
        channel: None,
        integration_id: None,
        country: None,
        pcid: None,
        external_id: None,
        affiliate_click_id: Some("b9f1/77 summer".into()),
        affs: BTreeMap::from([("affs1".into(), "summer-sale-cz".into())]),
        value: None,
        currency: None,
        voucher: None,
        query_params: BTreeMap::from([("utm_source".into(), "november".into())]),
        cookie_params: BTreeMap::new(),
        ip: None,
        user_agent: None,
        click_at: None,
        created_at: None,
        updated_at: None,
        settled: None,
    }
}

fn transaction() -> Transaction {
    Transaction {
        transaction_id: "trx_01h455vb4pex5vsknk084sn02r".parse().expect("an id"),
        version: None,
        change: Some(ChangeKind::Updated),
        commission_id: None,
        transaction_type: None,
        result: TransactionResult::Approved,
        previous_result: None,
        payout: Some("5.00".parse().expect("an amount")),
        revenue: None,
        currency: Some("EUR".into()),
        auto_approved: false,
        auto_set: false,
        created_at: None,
        updated_at: None,
        result_at: None,
    }
}

fn event() -> Event {
    Event {
        change_id: "chg_1".parse().expect("an id"),
        occurred_at: "2026-11-22T08:59:59.120Z".parse().expect("a time"),
        causation: None,
        kind: EventKind::TransactionUpdated,
        conversion: Arc::new(conversion()),
        transaction: Some(transaction()),
        is_final: true,
        is_correction: false,
    }
}

fn in_scope(with: impl FnOnce(&Scope<'_>)) {
    let event = event();
    let none = BTreeMap::new();
    with(&Scope {
        event: &event,
        delivery_id: "dlv_1",
        tracking_api_id: "trk_1",
        attempt: 1,
        at: At::default(),
        is_test: false,
        masks: false,
        now: event.occurred_at,
        secrets: &none,
        variables: &none,
        answer: None,
        bound: None,
        steps: Steps::default(),
    });
}

#[divan::bench]
fn a_url_with_ten_macros(bencher: Bencher<'_, '_>) {
    let template = Template::parse(URL, Place::Url, Allowed::default()).expect("a correct template");
    in_scope(|scope| {
        let mut out = String::with_capacity(512);
        template.render(scope, &mut out).expect("no headers");
        assert_eq!(out, RENDERED);
        bencher.counter(BytesCount::of_str(RENDERED)).bench_local(|| {
            out.clear();
            template.render(black_box(scope), &mut out).map(|_| out.len())
        });
    });
}

/// Unencoded, and with the values at hand as text: it does less than a template does.
#[divan::bench]
fn yardstick_replace_one_after_the_other(bencher: Bencher<'_, '_>) {
    let values = [
        ("{conversion_id}", "cnv_01h455vb4pex5vsknk084sn02q"),
        ("{click_id}", "b9f1%2F77%20summer"),
        ("{transaction_id}", "trx_01h455vb4pex5vsknk084sn02r"),
        ("{result}", "approved"),
        ("{payout}", "5.00"),
        ("{payout_currency}", "EUR"),
        ("{offer_id}", "off_5"),
        ("{affs1}", "summer-sale-cz"),
        ("{query.utm_source}", "november"),
        ("{event_at}", "2026-11-22T08%3A59%3A59.12Z"),
    ];
    let replaced = || black_box(values).iter().fold(black_box(URL).to_owned(), |url, (name, value)| url.replace(name, value));
    assert_eq!(replaced(), RENDERED);
    bencher.counter(BytesCount::of_str(RENDERED)).bench_local(replaced);
}

#[divan::bench]
fn a_whole_request_with_headers_and_a_json_body(bencher: Bencher<'_, '_>) {
    let document = tracking_core::json!({
        "method": "POST", "url": URL,
        "headers": [{"name": "X-Click", "value": "{click_id}"}],
        "body": {"format": "json", "fields": [
            {"path": "lead.id", "value": "{conversion_id}"}, {"path": "lead.payout", "value": "{payout}", "type": "number"},
            {"path": "lead.at", "value": "{event_at|date:%Y-%m-%d %H:%M,Europe/Prague}"}]},
    });
    let request = Request::parse(&document, "", Allowed::default(), &mut Faults::default()).expect("a correct request");
    in_scope(|scope| bencher.bench_local(|| request.render(black_box(scope))));
}
