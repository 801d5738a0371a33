"""What the sample rules owe for the sample events: worked out from the domain's rules alone, as a second opinion on the engine.

The events are posted in file order, one after another, and everything is worked off. Where an outcome would hang on timing, the
samples avoid it and `finals` proves that they do: it plays every hold in several ways and demands one answer.
"""

import json
from decimal import Decimal

from bus import line

COLUMNS = ["conversion_id", "transaction_id", "event", "change_id", "requests", "state"]

# Domain §2: which events fire which trigger.
FIRES = {
    "transaction_all": {"TC", "TU"}, "transaction_created": {"TC"}, "transaction_updated": {"TU"},
    "conversion_all": {"CC", "CU"}, "conversion_created": {"CC"}, "conversion_updated": {"CU"},
}
NAMES = {"CC": "conversion_created", "TC": "transaction_created", "CU": "conversion_updated", "TU": "transaction_updated"}

# The table of domain §2 and the paragraph on AutoApprove and AutoSet, as literals: conversion → its events, message by message.
EVENTS_OF_STORIES = {
    "cnv_r1": ["CC"], "cnv_r2": ["CC"], "cnv_r3": ["CC", "CU"], "cnv_r4": ["CC TC", "CU TU"], "cnv_r5": ["CC TC", "CU"], "cnv_r6": ["TU"],
    "cnv_r7": ["CC TC"], "cnv_r8": ["CU TU"], "cnv_r9": ["CU TU"], "cnv_r10": [""],
    "cnv_life": ["CC", "TC CU", "CU TU", "CU TU", ""],
    "cnv_autoset_created": ["CC TC TU"], "cnv_autoset_inherited": ["CU TU"], "cnv_autoset_unchanged": [""],
    "cnv_autoapprove_updated": ["CU TU"], "cnv_autoapprove_unchanged": [""], "cnv_both": ["CC TC"],
    "cnv_two_commissions": ["CC TC TC"], "cnv_new_commission": ["TC CU"], "cnv_voucher": ["CC TC", "CU TU"], "cnv_later_words": ["CC TC"],
    "cnv_no_channel": ["CC TC"], "cnv_caused": ["CU TU"], "cnv_bare": ["CC TC"],
}


def events(detail):
    """The elementary events of one change, created before updated: pairs of kind and transaction (none for the conversion's)."""
    conversion = detail["conversion"]
    happened = conversion["change"]
    out = [({"created": "CC", "updated": "CU"}[happened], None)] if happened != "unchanged" else []
    for transaction in detail["transactions"]:
        own = transaction.get("change")
        change = own or happened
        if transaction.get("auto_approved"):
            kinds = {"created": ["TC"], "updated": ["TU"] if own else [], "unchanged": []}[change]
        elif transaction.get("auto_set"):
            kinds = {"created": ["TC", "TU"], "updated": ["TU"], "unchanged": []}[change]
        else:
            kinds = {"created": ["TC"], "updated": ["TU"], "unchanged": []}[change]
        for kind in kinds:
            before_autoset = kind == "TC" and len(kinds) == 2
            out.append((kind, transaction | {"result": "pending"} if before_autoset else transaction))
    return sorted(out, key=lambda event: (event[0] in ("CU", "TU"), event[1] is not None))


def conversion_fits(conditions, conversion):
    """Every condition but the result (domain §3, C1, C3, C4)."""
    kind = conversion["type"]
    words = {kind, f"custom:{conversion.get('custom_type')}"} if kind == "custom" else {kind}
    has = {"source": {conversion["source"]}, "conversion_type": words, "affiliate": {conversion["affiliate_id"]},
           "advertiser": {conversion["advertiser_id"]}, "integration": {conversion.get("integration_id")},
           "channel": {conversion.get("channel_id")}, "included_offers": {conversion["offer_id"]}}
    if conversion["offer_id"] in conditions.get("excluded_offers", []):
        return False
    return all(has[name] & set(wanted) for name, wanted in conditions.items() if name in has and wanted)


def chosen(conditions, transactions):
    """The transaction that the result condition chooses (C2): `(True, it or None)`, or `(False, None)` if none fits."""
    result = conditions.get("result", "not_chosen")
    for transaction in transactions:
        if result in ("not_chosen", "all") or transaction["result"] in result:
            return True, transaction
    return result == "not_chosen", None


def settled(detail):
    """Domain §1: the platform's word, else at least one transaction and every one final."""
    said = detail["conversion"].get("settled")
    results = [transaction["result"] for transaction in detail["transactions"]]
    return said if said is not None else bool(results) and "pending" not in results


def answered(entry, detail, transaction):
    """How a delivery of this rule ends and after how many requests (A1, A2, L1, W1, W2)."""
    if detail["conversion"].get("external_id", "") in entry.get("not_found", []):
        return 1, "failed"
    if entry["receiver"] == "login_status_report":
        # Login, pending, approved; the report of what is large is the last.
        return len(entry["answers"]) - (0 if Decimal(transaction["payout"]) > 25 else 1), "delivered"
    if entry["receiver"] == "asks_in_vain":
        return 4, "exhausted"
    return len(entry["answers"]), "delivered"


def plain(entry, changes):
    """The deliveries of a rule without delay: one per change, subject and event kind (P2), each with the event and its choice."""
    conditions, trigger = entry["rule"].get("conditions", {}), entry["rule"]["trigger"]
    for detail in changes:
        for kind, transaction in events(detail):
            if kind not in FIRES[trigger] or not conversion_fits(conditions, detail["conversion"]):
                continue
            fits, choice = chosen(conditions, [transaction] if transaction else detail["transactions"])
            if fits:
                row = [detail["conversion"]["conversion_id"], transaction and transaction["transaction_id"], NAMES[kind], detail["change_id"]]
                yield row + list(answered(entry, detail, choice)), detail, choice


def play(rule, changes, lag, whatever):
    """One conversion's holds under a final rule (F1–F4): `{subject: state}` and the events that came after an end.

    `lag`: how many changes a worker is behind when it takes up what settled; 0 judges in the step that settles. `whatever`: hold from the
    first event that fires the trigger, whatever the conditions (F1 by the letter), or from the first that also has the rule's affiliate.
    """
    conditions, states, late = rule["conditions"], {}, []
    of_transactions = rule["trigger"].startswith("transaction")

    def release(detail):
        for subject, state in states.items():
            if state != "held" or not settled(detail):
                continue
            about = [t for t in detail["transactions"] if subject in (None, t["transaction_id"])]
            fits = conversion_fits(conditions, detail["conversion"]) and chosen(conditions, about)[0]
            states[subject] = "delivered" if fits else "skipped"

    for step, detail in enumerate(changes):
        conversion = detail["conversion"]
        for kind, transaction in events(detail):
            if kind not in FIRES[rule["trigger"]] or not (whatever or conversion["affiliate_id"] in conditions["affiliate"]):
                continue
            subject = transaction["transaction_id"] if of_transactions else None
            if states.get(subject, "held") != "held":
                late.append([conversion["conversion_id"], subject, NAMES[kind], detail["change_id"], 0, "skipped"])
            elif detail["transactions"] or conversion.get("settled"):
                states[subject] = "held"
        if step >= lag and settled(changes[step - lag]):
            release(detail)
    release(changes[-1])
    return states, late


def finals(entry, changes):
    """What a final rule owes: its own affiliate's subjects, what came after their ends, and how many of others it may hold."""
    rule, by_conversion = entry["rule"], {}
    for detail in changes:
        by_conversion.setdefault(detail["conversion"]["conversion_id"], []).append(detail)
    owed_, after, others = [], [], {"delivered": 0, "skipped": 0, "held": 0}
    for conversion_id, its in by_conversion.items():
        states, _ = play(rule, its, lag=0, whatever=True)
        own, own_late = play(rule, its, lag=0, whatever=False)
        for lag in (1, 2, 3, len(its)):
            assert play(rule, its, lag, whatever=True)[0] == states, (entry["key"], conversion_id, lag)
        assert all(own.get(subject, "skipped") == state or subject not in own and state == "held" for subject, state in states.items())
        assert all(own.get(subject) == "delivered" for subject, state in states.items() if state == "delivered"), conversion_id
        for subject, state in states.items():
            if subject in own:
                owed_.append([conversion_id, subject, None, None, int(state == "delivered"), state])
            else:
                others[state] += 1
        after += own_late
    assert others.pop("delivered") == 0
    return owed_, after, others


def read(text):
    """The changes of the files, without the bus's repeats (P2); versions must grow, so that nothing is ever superseded (P3)."""
    changes, seen, versions = [], set(), {}
    for row in text.split("\n")[:-1]:
        detail = json.loads(row, parse_float=Decimal, parse_int=lambda digits: int(digits))["detail"]
        if detail["change_id"] in seen:
            continue
        seen.add(detail["change_id"])
        name, version = detail["conversion"]["conversion_id"], detail["conversion"]["version"]
        assert version > versions.get(name, 0), detail["change_id"]
        versions[name] = version
        changes.append(detail)
    return changes


def check_stories(changes):
    """The derivation agrees with the domain's own table."""
    found = {}
    for detail in changes:
        kinds = " ".join(sorted(kind for kind, _ in events(detail)))
        found.setdefault(detail["conversion"]["conversion_id"], []).append(kinds)
    for name, expected in EVENTS_OF_STORIES.items():
        assert found[name] == [" ".join(sorted(step.split())) for step in expected], (name, found[name])


def sends(entry):
    """A rule that is off, or that names a secret without a value, sends nothing (V4, P6)."""
    text = json.dumps(entry["rule"].get("request") or entry["rule"]["steps"])
    return entry["rule"].get("active", True) and ("{secret." not in text or bool(entry["secret_values"]))


def bus(entry, rows):
    """What we publish: what an admin's answer rules extracted (A3), and the deliveries that ended badly."""
    for conversion_id, transaction_id, _, change_id, requests, state in rows:
        about = {"rule": entry["key"], "conversion_id": conversion_id, "transaction_id": transaction_id}
        if state in ("failed", "exhausted"):
            yield {"detail-type": "Delivery Ended"} | about | {"change_id": change_id, "state": state, "attempts": requests}
        elif entry["receiver"] == "login_status_report":
            yield {"detail-type": "Conversion Result Received"} | about | {"attempt": 3, "result": "approved", "payout": "18.00"}
        elif entry["receiver"] == "calls_back":
            body = json.loads(entry["callback"])
            yield {"detail-type": "Conversion Result Received"} | about | {"result": body["status"], "payout": body["amount"]}
        elif entry["receiver"] == "pending_twice":
            body = json.loads(entry["answers"][-1]["body"])
            yield {"detail-type": "Conversion Result Received"} | about | {"attempt": requests, "result": "approved", "payout": body["payout"]}


def owed(rules_text, events_text):
    """The text of owed.json."""
    changes, rules, published = read(events_text), {}, []
    check_stories(changes)
    for entry in json.loads(rules_text):
        after, others = [], None
        if not sends(entry):
            rows = []
        elif entry["rule"].get("delay"):
            rows, after, others = finals(entry, changes)
        else:
            rows = [row for row, _, _ in plain(entry, changes)]
        if entry["receiver"] != "ok":
            subjects = [(row[0], row[1]) for row in rows]
            assert len(set(subjects)) == len(subjects), f"{entry['key']}: a retried rule needs one event per subject"
        states = {}
        for row in rows:
            states[row[5]] = states.get(row[5], 0) + 1
        rules[entry["key"]] = {"deliveries": len(rows), "requests": sum(row[4] for row in rows), "states": states, "owed": rows}
        if others is not None:
            rules[entry["key"]] |= {"after_final": after, "bystanders": others}
        published += bus(entry, rows)
    total = {name: sum(rule[name] for rule in rules.values()) for name in ("deliveries", "requests")}
    return text_of({"columns": COLUMNS, "changes": len(changes), "total": total, "bus": published, "rules": rules})


def text_of(document):
    """JSON with one delivery, and one bus event, a line."""
    def listed(rows, indent):
        return "[" + ",".join("\n" + " " * indent + line(row) for row in rows) + "]"

    rules = []
    for key, rule in document["rules"].items():
        fields = [f'"{name}": ' + (listed(value, 6) if isinstance(value, list) else line(value)) for name, value in rule.items()]
        rules.append(f'\n    "{key}": {{' + ", ".join(fields) + "}")
    head = [f'  "{name}": {line(document[name])}' for name in ("columns", "changes", "total")]
    return "{\n" + ",\n".join([*head, f'  "bus": {listed(document["bus"], 4)}', '  "rules": {' + ",".join(rules) + "\n  }"]) + "\n}\n"
