"""Holds documents against a JSON Schema: standard input has {"schema": …, "documents": [text, …]}, standard output gets, for each
document, the list of what is wrong with it. Numbers are read exactly.
"""

import json
import sys
from decimal import Decimal

from jsonschema import Draft202012Validator, FormatChecker


def main():
    wanted = json.load(sys.stdin)
    Draft202012Validator.check_schema(wanted["schema"])
    formats = FormatChecker(["date-time"])
    assert not formats.conforms("yesterday", "date-time"), "times are checked"
    validator = Draft202012Validator(wanted["schema"], format_checker=formats)
    found = []
    for text in wanted["documents"]:
        try:
            document = json.loads(text, parse_float=Decimal)
            # Half a surrogate pair, which Python lets pass.
            json.dumps(document, ensure_ascii=False, default=str).encode()
        except ValueError as fault:
            found.append([f"not JSON: {fault}"])
            continue
        found.append([f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)])
    json.dump(found, sys.stdout, default=str)


main()
