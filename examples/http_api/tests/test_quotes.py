"""Left out of the artifact by `exclude`. Run from the folder above: python -m pytest"""

from decimal import Decimal

import pytest

from app.quotes import Order, UnknownItemError, quote


def test_small_order() -> None:
    assert quote(Order(item="apple", quantity=3)).total == Decimal("1.20")


def test_bulk_order_is_cheaper() -> None:
    assert quote(Order(item="pear", quantity=100)).total == Decimal("49.50")


def test_unknown_item() -> None:
    with pytest.raises(UnknownItemError, match="anvil"):
        quote(Order(item="anvil", quantity=1))
