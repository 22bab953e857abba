"""Amounts of money, in cents."""

from decimal import Decimal


def parse(text: str) -> int:
    """Cents of an amount such as 12.50."""
    return int(Decimal(text) * 100)


def show(cents: int) -> str:
    """An amount for people."""
    return f"{cents // 100}.{cents % 100:02}"
