"""Lists what the shop sells."""

from typing import Any

import catalog
import money
from tabulate import tabulate


def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    rows = [(name, money.show(cents)) for name, cents in catalog.PRICES.items()]
    return {"table": tabulate(rows, headers=("fruit", "price"))}
