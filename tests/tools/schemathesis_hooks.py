"""What schemathesis has to be told about the API before it tries it out.

- Whatever address a rule names becomes one of this machine at which nobody listens: nothing that is tried out can reach anybody. That
  it stays as long as it was keeps texts that are too long too long.
- Well-formed requests ask for things that exist, so that they get further than to a 404. What deletes is left alone.
- A body of lines is a list of events, one a line.
"""

import json
import os
import re

import schemathesis

NOBODY = "http://127.0.0.1:9"
HOST = re.compile(r"^https?://[^/?#]*", re.IGNORECASE)
KNOWN = {
    "tracking-apis": os.environ["KNOWN_RULE"],
    "deliveries": os.environ["KNOWN_DELIVERY"],
    "events": os.environ["KNOWN_REJECTED_EVENT"],
    "conversions": "cnv_1",
    "affiliates": "aff_7",
    "offers": "off_5",
}


def nobodys(url):
    """The same address at nobody's, as long as it was."""
    harmless = HOST.sub(NOBODY, url)
    missing = len(url) - len(harmless)
    return harmless if missing <= 0 else harmless + ("" if len(harmless) > len(NOBODY) else "/") + "0" * missing


def without_receivers(value):
    """A body in which no address leads anywhere."""
    if isinstance(value, dict):
        return {
            name: nobodys(inner) if name == "url" and isinstance(inner, str) and HOST.match(inner) else without_receivers(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [without_receivers(inner) for inner in value]
    return value


@schemathesis.hook
def before_call(context, case, kwargs):
    case.body = without_receivers(case.body)
    kind = case.operation.path.split("/")[1]
    mode = case.meta.generation.mode if case.meta else None
    positive = mode is not None and mode.is_positive
    if positive and case.method.upper() != "DELETE" and kind in KNOWN and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = KNOWN[kind]


@schemathesis.hook
def filter_failure(context, failure, case, response):
    # Of several events the good ones are accepted; the answer tells which are bad.
    if case.operation.path == "/events" and response.status_code == 202:
        return not json.loads(response.content)["rejected"]
    return True


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    events = value if isinstance(value, list) else [value]
    return {"data": "\n".join(json.dumps(event) for event in events).encode()}
