"""Facts about the API that schemathesis needs before it tries it out.

- Whatever address a rule names becomes one of this machine at which nobody listens: nothing that is tried out can reach anybody. That
  it stays as long as it was keeps texts that are too long too long.
- Well-formed requests ask for things that exist, so that they get further than to a 404. What deletes is left alone.
- What is accepted with faults and why that is right: some of many events, no body, empty parameters.
- A body of lines is a list of events, one a line.
- Of a rule's steps only requests by their address are made up: whole steps of every kind, each with requests, conditions and answers of its
  own, take minutes to make up. Tests of flows send the others.
"""

import copy
import json
import os
import re

import schemathesis
from schemathesis.core import NotSet

NOBODY = "http://127.0.0.1:9"
# The code of a failure: a request with faults was accepted.
ACCEPTED = "ST201"
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


# Nothing refers to these once steps are short.
STEP_PARTS = ("Step", "StepAnswer", "StepAnswerRule", "NewStep", "NewStepAnswer", "NewStepAnswerRule")


def short_steps():
    """One or two steps, each with a request by its address alone."""
    call = {
        "type": "object",
        "required": ["url"],
        "properties": {"url": {"type": "string", "pattern": "^https?://", "maxLength": 200}},
        "additionalProperties": False,
    }
    step = {
        "type": "object",
        "required": ["name", "call"],
        "properties": {"name": {"type": "string", "pattern": "^[a-z]{1,8}$"}, "call": call},
        "additionalProperties": False,
    }
    return {"anyOf": [{"type": "null"}, {"type": "array", "minItems": 1, "maxItems": 2, "items": step}]}


@schemathesis.hook
def before_load_schema(context, raw_schema):
    schemas = raw_schema["components"]["schemas"]
    any_steps = {"type": "array", "items": {"type": "object", "required": ["name"]}}
    whole = copy.deepcopy(schemas["NewTrackingApi"])
    whole["properties"]["steps"] = any_steps
    schemas["Preset"]["properties"]["tracking_api"] = whole
    for name in ("NewTrackingApi", "TrackingApiPatch"):
        schemas[name]["properties"]["steps"] = short_steps()
    schemas["TrackingApi"]["properties"]["steps"] = any_steps
    for form in [schemas["Test"], *schemas["Preview"]["anyOf"]]:
        del form["properties"]["answers"]
    for name in [name for name in schemas if name in STEP_PARTS]:
        del schemas[name]


@schemathesis.hook
def before_call(context, case, kwargs):
    harmless = without_receivers(case.body)
    if harmless != case.body:
        case.body = harmless
    kind = case.operation.path.split("/")[1]
    mode = case.meta.generation.mode if case.meta else None
    positive = mode is not None and mode.is_positive
    if positive and case.method.upper() != "DELETE" and kind in KNOWN and "id" in (case.path_parameters or {}):
        case.path_parameters["id"] = KNOWN[kind]


def may_leave_out(operation):
    return not operation.definition.raw.get("requestBody", {}).get("required", False)


def negative_elsewhere(case):
    """Whether something else than its body is wrong with a request."""
    return any(part.mode.is_negative for place, part in case.meta.components.items() if place.name != "BODY")


@schemathesis.hook
def filter_failure(context, failure, case, response):
    if failure.code != ACCEPTED:
        return True
    # Of several events the good ones are accepted; the answer lists the bad ones.
    if case.operation.path == "/events" and response.status_code == 202:
        return not json.loads(response.content)["rejected"]
    # A body that may be left out may be left out.
    if isinstance(case.body, NotSet) and may_leave_out(case.operation) and not negative_elsewhere(case):
        return False
    # An empty parameter is the same as none, which a schema of its value can't express.
    return "" not in (case.query or {}).values()


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    events = value if isinstance(value, list) else [value]
    return {"data": "\n".join(json.dumps(event) for event in events).encode()}
