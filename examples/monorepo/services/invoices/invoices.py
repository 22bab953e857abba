"""Writes invoices."""

from typing import Any

import money
from jinja2 import Template

TEMPLATE = Template("{{ customer }} owes {{ total }}")


def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    return {"invoice": TEMPLATE.render(customer=event["customer"], total=money.show(event["cents"]))}
