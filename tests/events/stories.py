"""The stories R1 to R10 of the domain as bus messages, and the special cases beside them. All belong to affiliate `aff_9`."""

from bus import envelope, moment, number

AFFILIATE = "aff_9"


def conversion(story, version, change, minute, created, **fields):
    """A conversion named after its story, with what all of them share; times in minutes."""
    base = {
        "conversion_id": f"cnv_{story}", "version": version, "change": change, "type": "sale", "source": "link",
        "affiliate_id": AFFILIATE, "advertiser_id": "adv_1", "advertiser_name": "Shop & Sons", "offer_id": "off_1",
        "offer_name": "Shoes CZ", "channel_id": "chn_1", "channel": "main", "integration_id": "int_1", "country": "CZ",
        "pcid": f"pc-{story}", "external_id": f"X-{story}", "affiliate_click_id": f"click {story}/1", "affs": {"affs1": "summer"},
        "value": "100.00", "currency": "EUR", "ip": "203.0.113.9", "created_at": moment(created),
    }
    if change == "updated":
        base["updated_at"] = moment(minute)
    return {name: value for name, value in (base | fields).items() if value is not ...}


def transaction(story, number_=1, **fields):
    """A transaction of that story; pending unless said."""
    base = {
        "transaction_id": f"trx_{story}_{number_}", "version": 1, "commission_id": f"com_{number_}", "type": "sale", "result": "pending",
        "payout": "5.00", "revenue": "8.00", "currency": "EUR",
    }
    return base | fields


def change(story, step, minute, conv, *transactions, **more):
    """One message of the story."""
    detail = {"change_id": f"chg_{story}_{step}", "occurred_at": moment(minute, 120 * step)}
    return envelope(detail | more | {"conversion": conv, "transactions": list(transactions)})


def stories():
    """All messages, in order."""
    out, born = [], {}

    def send(story, step, kind, version, *transactions, more=None, **fields):
        minute = len(out) * 7
        created = born.setdefault(story, minute if kind == "created" else minute - 30)
        out.append(change(story, step, minute, conversion(story, version, kind, minute, created, **fields), *transactions, **(more or {})))

    click = {"type": "click", "value": ..., "currency": ..., "external_id": ...}
    lead = {"type": "lead", "source": "iframe", "value": ..., "currency": ...}
    pixel = lead | {"cookie_params": {"_fbp": "fb.1.1762000000.42", "_ga": "GA1.1.77"}}

    send("r1", 1, "created", 1, **click)
    send("r2", 1, "created", 1)
    send("r3", 1, "created", 1, **lead)
    send("r3", 2, "updated", 2, **pixel)
    send("r4", 1, "created", 1, transaction("r4", type="lead"), **lead)
    send("r4", 2, "updated", 2, transaction("r4", type="lead", version=2), **pixel)
    approved = {"result": "approved", "auto_approved": True, "type": "lead"}
    send("r5", 1, "created", 1, transaction("r5", **approved), **lead)
    send("r5", 2, "updated", 2, transaction("r5", **approved), **pixel)
    send("r6", 1, "unchanged", 2,
         transaction("r6", change="updated", version=2, result="approved", previous_result="pending", auto_set=True))
    send("r7", 1, "created", 1, transaction("r7"))
    send("r8", 1, "updated", 2, transaction("r8", version=2, payout="6.00"), value="120.00")
    send("r9", 1, "updated", 3, transaction("r9", version=3, payout="6.00", result="approved", previous_result="pending"),
         value="120.00")
    send("r10", 1, "unchanged", 2, transaction("r10"))

    # The whole life of one sale: R2, then its commission, R8, R9, R10.
    send("life", 1, "created", 1, value=number("80.5"))
    send("life", 2, "updated", 2, transaction("life", change="created", payout=number("4.03")), value=number("80.5"))
    send("life", 3, "updated", 3, transaction("life", version=2, payout=number("4.50")), value=number("90.00"))
    send("life", 4, "updated", 4, transaction("life", version=3, payout=number("4.50"), result="rejected", previous_result="pending"))
    send("life", 5, "unchanged", 5, transaction("life", version=3, payout=number("4.50"), result="rejected"))

    # Beside the table (domain §3, last paragraph).
    send("autoset_created", 1, "created", 1, transaction("autoset_created", result="approved", auto_set=True))
    send("autoset_inherited", 1, "updated", 2,
         transaction("autoset_inherited", result="rejected", previous_result="pending", auto_set=True))
    send("autoset_unchanged", 1, "unchanged", 2,
         transaction("autoset_unchanged", change="unchanged", result="approved", auto_set=True))
    send("autoapprove_updated", 1, "updated", 2,
         transaction("autoapprove_updated", change="updated", result="approved", auto_approved=True))
    send("autoapprove_unchanged", 1, "unchanged", 2, transaction("autoapprove_unchanged", result="approved", auto_approved=True))
    send("both", 1, "created", 1, transaction("both", result="approved", auto_approved=True, auto_set=True))
    send("two_commissions", 1, "created", 1,
         transaction("two_commissions"), transaction("two_commissions", 2, payout="1.25", revenue="2.00"))
    send("new_commission", 1, "updated", 2,
         transaction("new_commission", change="unchanged"), transaction("new_commission", 2, change="created"))
    send("voucher", 1, "created", 1, transaction("voucher"), affiliate_id="aff_1")
    send("voucher", 2, "updated", 2, transaction("voucher", version=2), voucher="FRIEND-10")
    send("later_words", 1, "created", 1, transaction("later_words", type="install"), source="manual", type="install")
    send("no_channel", 1, "created", 1, transaction("no_channel"), channel_id=None, channel=None, integration_id=None)
    send("caused", 1, "updated", 2, transaction("caused", version=2, result="approved", previous_result="pending"),
         more={"causation": {"tracking_api_id": "trk_of_another_system", "depth": 1}})
    send("bare", 1, "created", 1, {"transaction_id": "trx_bare_1", "result": "pending"}, **dict.fromkeys([
        "advertiser_name", "offer_name", "channel_id", "channel", "integration_id", "country", "pcid", "external_id", "affiliate_click_id",
        "affs", "value", "currency", "ip", "created_at"], ...))

    # The bus repeats itself: the same change in a new envelope, and the same envelope again (P2).
    by_change = {message["detail"]["change_id"]: message for message in out}
    out.append(envelope(by_change["chg_r7_1"]["detail"], copy=1))
    out.append(by_change["chg_r4_1"])
    out.append(envelope(by_change["chg_autoset_created_1"]["detail"], copy=1))
    return out
