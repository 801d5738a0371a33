"""Bad events: each has several faults, all of which the sender must get at once; some lines are no JSON at all."""

from bus import envelope, line, moment


def bad():
    """The file's text; its lines are described, in order, in README.md."""
    conversion = {
        "conversion_id": "cnv_bad", "version": 1, "change": "created", "type": "sale", "source": "link", "affiliate_id": "aff_9",
        "advertiser_id": "adv_1", "offer_id": "off_1",
    }
    transaction = {"transaction_id": "trx_bad", "result": "pending"}
    good = {"change_id": "chg_bad", "occurred_at": moment(1), "conversion": conversion, "transactions": [transaction]}

    def event(conversion_=(), transaction_=(), **detail):
        merged = good | {"conversion": conversion | dict(conversion_), "transactions": [transaction | dict(transaction_)]} | detail
        return envelope({k: v for k, v in merged.items() if v is not ...})

    def without(fields, **more):
        return event({}, {}, conversion={k: v for k, v in conversion.items() if k not in fields}, **more)

    no_detail = event()
    del no_detail["detail"]
    wrong_kind = event() | {"detail-type": "Conversion Deleted"}
    return "".join(text + "\n" for text in [
        line(event(change_id=..., occurred_at="yesterday")),
        line(without({"conversion_id", "version", "offer_id"}, change_id="chg bad 2")),
        line(event({"version": "three", "change": "deleted", "affiliate_id": "aff/9"}, change_id="chg_bad_3")),
        line(event({"version": -1, "advertiser_id": "a" * 129}, {"result": "paid", "payout": "12,50"}, change_id="chg_bad_4")),
        line(event({"pcid": "p" * 2049, "affs": ["summer"], "click_at": "2026-13-45T00:00:00Z"}, change_id="chg_bad_5")),
        line(event({"value": "1e", "settled": "yes"}, {"transaction_id": "", "result": None, "revenue": True}, change_id="chg_bad_6")),
        line(event(change_id="chg_bad_7", transactions={"transaction_id": "trx_bad"}, causation={"depth": -1})),
        line(no_detail),
        line(wrong_kind),
        "this line is not JSON",
        '{"version":"0","detail-type":"Conversion Changed","detail":{"change_id":"chg_bad_11",',
        '{"version":"0","detail-type":"Conversion Changed","detail":{"change_id":"\\ud800"}}',
        '"a string"',
        line(event(change_id="chg_bad_last", occurred_at=moment(2))),
    ])
