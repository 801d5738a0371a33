"""How a change of a conversion looks on the bus: EventBridge's envelope around the platform's detail (contract §1)."""

import datetime
import hashlib
import json
import re

START = datetime.datetime(2026, 11, 1, 6, 0, 0)


def moment(minutes, milliseconds=0):
    """A time of November 2026, so many minutes after its first morning, as RFC 3339 UTC."""
    at = START + datetime.timedelta(minutes=minutes, milliseconds=milliseconds)
    assert (at.year, at.month) == (2026, 11) and at.day < 22, at
    fraction = f".{milliseconds % 1000:03d}" if milliseconds % 1000 else ""
    return at.strftime("%Y-%m-%dT%H:%M:%S") + fraction + "Z"


def number(text):
    """Marks a decimal text to be written as a JSON number, digit for digit."""
    return f"@number:{text}@"


def envelope(detail, detail_type="Conversion Changed", copy=0):
    """The detail as EventBridge hands it on; `copy` numbers the repeats of one message."""
    seed = json.dumps([detail, copy], sort_keys=True)
    h = hashlib.sha256(seed.encode()).hexdigest()
    return {
        "version": "0",
        "id": f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:32]}",
        "detail-type": detail_type,
        "source": "platform.conversions",
        "account": "000000000000",
        "time": re.sub(r"\.\d+Z$", "Z", detail["occurred_at"]) if "T" in detail.get("occurred_at", "") else moment(0),
        "region": "eu-central-1",
        "resources": [],
        "detail": detail,
    }


def line(value):
    """One compact line of JSON, in UTF-8, with marked numbers as numbers."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    assert "\n" not in text
    return re.sub(r'"@number:(-?[0-9.]+)@"', r"\1", text)


def lines(values):
    """Newline-delimited JSON."""
    return "".join(line(value) + "\n" for value in values)
