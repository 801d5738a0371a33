"""What the trackers must have received: each GET postback's decoded query, rendered here by a second, very small renderer.

A receiver that decodes its query must find exactly these pairs, hostile values and all (Q2, Q3). Rules whose templates need more than
the macros and modifiers below are left out.
"""

import json
import re
from decimal import Decimal

from bus import line
from owed import plain, read, sends

MACRO = re.compile(r"\{([^{}|]+)((?:\|[^{}|]+)*)\}")

MODIFIERS = {
    "map": lambda value, argument: dict(pair.split("=") for pair in argument.split(",")).get(value, value),
    "default": lambda value, argument: value or argument,
    "lower": lambda value, _: value.lower(),
    "omit_if_empty": lambda value, _: value or None,
}

ALIASES = {
    "click_id": "affiliate_click_id", "affiliateClickId": "affiliate_click_id", "sub1": "affs1", "promo_code": "voucher",
    "type": "conversion_type", "goal": "conversion_type", "amount": "value", "status": "result", "sum": "payout",
}


def values(entry, detail, transaction):
    """The values of the macros in one event; a missing value is the empty string."""
    conversion, transaction = detail["conversion"], transaction or {}
    kind = conversion["type"]
    same_name = ("conversion_id", "external_id", "affiliate_click_id", "channel_id", "value", "currency", "voucher", "ip")
    found = {name: conversion.get(name) for name in same_name}
    found |= {name: transaction.get(name) for name in ("transaction_id", "result", "payout")}
    found["payout_currency"] = transaction.get("currency")
    found["conversion_type"] = conversion.get("custom_type") or kind if kind == "custom" else kind
    found |= {f"affs{n}": conversion.get("affs", {}).get(f"affs{n}") for n in range(1, 11)}
    found |= {f"secret.{name}": value for name, value in entry["secret_values"].items()}
    return {name: written(value) for name, value in found.items()}


def written(value):
    """A value as text: money digit for digit, nothing as the empty string."""
    return "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def rendered(template, found):
    """The text with its macros filled in; None if a modifier drops the whole parameter."""
    dropped = False

    def fill(match):
        nonlocal dropped
        value = found[ALIASES.get(match[1], match[1])]
        for step in filter(None, match[2].split("|")):
            name, _, argument = step.partition(":")
            value = MODIFIERS[name](value, argument)
        dropped = dropped or value is None
        return value or ""

    text = MACRO.sub(fill, template)
    return None if dropped else text


def templates(entry):
    """The rule's path and its query as pairs of name and template; None if this renderer can't do it."""
    rule = entry["rule"]
    if "steps" in rule:
        return None
    url = rule["request"]["url"].removeprefix("http://RECEIVER")
    path, _, query = url.partition("?")
    pairs = [pair.split("=", 1) for pair in query.split("&") if pair]
    pairs += [[parameter["name"], parameter["value"]] for parameter in rule["request"].get("query", [])]
    known = values(entry, {"conversion": {"type": ""}}, None)
    names = [ALIASES.get(match[1], match[1]) for _, template in pairs for match in MACRO.finditer(template)]
    simple = rule["request"]["method"] == "GET" and "{" not in path and "delay" not in rule and all(name in known for name in names)
    return (path, pairs) if simple and sends(entry) else None


def arrivals(rules_text, events_text):
    """The text of arrivals.ndjson: a line for each delivery, `[rule key, change id, event, transaction id, path, [[name, value], …]]`."""
    changes, out = read(events_text), []
    for entry in json.loads(rules_text):
        for row, detail, choice in plain(entry, changes) if templates(entry) else ():
            path, pairs = templates(entry)
            found = values(entry, detail, choice)
            query = [[name, rendered(template, found)] for name, template in pairs]
            out.append([entry["key"], row[3], row[2], row[1], path, [pair for pair in query if pair[1] is not None]])
    return "".join(line(arrival) + "\n" for arrival in out)
