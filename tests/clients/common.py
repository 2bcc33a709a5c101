"""What the tests of clients for Python share."""

import json
import os
import time
import urllib.request

URL, KEY, VENDOR = os.environ["ROLECALL_URL"], os.environ["ROLECALL_KEY"], os.environ["VENDOR_URL"]

# One of each protocol towards the vendor: the same as the client's, and another.
MODELS = ["openai/m", "anthropic/m"]
RESPONSES_MODELS = ["responses/m", "anthropic/m"]


def expect(condition, told):
    if not condition:
        raise AssertionError(told)


def raises(kind, action):
    try:
        action()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


def counts():
    with urllib.request.urlopen(f"{VENDOR}/counts") as answer:
        return json.load(answer)


def requests_for(text):
    return sum(count for said, count in counts()["requests"].items() if text in said)


def stops_the_vendor(action):
    """A client that leaves ends the vendor's answer."""
    before = counts()["closed"]
    action()
    for _ in range(100):
        if counts()["closed"] > before:
            return
        time.sleep(0.05)
    raise AssertionError("the vendor goes on")
