"""What the shop sells, and for how much."""

import money

PRICES = {"apple": money.parse("0.50"), "pear": money.parse("0.65")}


def total(items: dict[str, int]) -> int:
    """Cents for some items of each kind."""
    return sum(PRICES[name] * count for name, count in items.items())
