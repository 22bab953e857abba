"""Greet a visitor, and say which build does so."""

import json
from pathlib import Path
from typing import Any

import humanize

# Written by tools/generate.py while the function is bundled.
BUILD_INFO: dict[str, str] = json.loads(
    Path(__file__).with_name("build_info.json").read_text(encoding="utf-8")
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Event: {"name": <str>, "visits": <int, this one included>}."""
    visit = humanize.ordinal(int(event["visits"]))
    return {
        "greeting": f"{BUILD_INFO['greeting']}, {event['name']}! This is your {visit} visit.",
        "build": BUILD_INFO,
    }
