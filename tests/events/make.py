#!/usr/bin/env python3
"""Makes the sample events and what the sample rules owe for them: stories, conversions, offers, bad events,
owed.json and arrivals.ndjson.

    python3 tests/events/make.py           writes the files beside this script
    python3 tests/events/make.py --check   says whether they are what this script would write

Python 3 alone, no packages, no clock, no network; the same bytes on every run.
"""

import pathlib
import sys

sys.dont_write_bytecode = True

from arrivals import arrivals  # noqa: E402
from bad import bad  # noqa: E402
from bus import lines  # noqa: E402
from lives import lives, offers  # noqa: E402
from owed import owed  # noqa: E402
from stories import stories  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent


def files():
    """Every generated file's name and text."""
    made = {"stories.ndjson": lines(stories()), "conversions.ndjson": lines(lives()), "offers.ndjson": lines(offers()), "bad.ndjson": bad()}
    rules = (HERE / "rules.json").read_text(encoding="utf-8")
    events = made["stories.ndjson"] + made["conversions.ndjson"]
    return made | {"owed.json": owed(rules, events), "arrivals.ndjson": arrivals(rules, events)}


def main():
    """Writes or checks; prints each file's size."""
    check, stale = "--check" in sys.argv[1:], []
    for name, text in files().items():
        path, made = HERE / name, text.encode()
        if not check:
            path.write_bytes(made)
        elif not path.exists() or path.read_bytes() != made:
            stale.append(name)
        print(f"{name}: {len(made)} bytes, {made.count(10)} lines")
    if stale:
        sys.exit(f"not as made: {', '.join(stale)}; run python3 tests/events/make.py")


if __name__ == "__main__":
    main()
