"""Takes orders, as YAML."""

from typing import Any

import catalog
import money
import yaml


def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    return {"total": money.show(catalog.total(yaml.safe_load(event["order"])))}
