"""The rules of pricing, free of HTTP."""

from decimal import Decimal

from pydantic import BaseModel, Field

PRICES = {"apple": Decimal("0.40"), "pear": Decimal("0.55")}
BULK_QUANTITY = 100
BULK_FACTOR = Decimal("0.9")


class UnknownItemError(LookupError):
    """The order names an item that is not in the price list."""


class Order(BaseModel):
    item: str
    quantity: int = Field(gt=0, le=10_000)


class Quote(BaseModel):
    item: str
    quantity: int
    total: Decimal


def quote(order: Order) -> Quote:
    """Return the price of an order; large ones get ten percent off."""
    try:
        total = PRICES[order.item] * order.quantity
    except KeyError as error:
        raise UnknownItemError(f"we do not sell {order.item!r}") from error
    if order.quantity >= BULK_QUANTITY:
        total *= BULK_FACTOR
    return Quote(item=order.item, quantity=order.quantity, total=total.quantize(Decimal("0.01")))
