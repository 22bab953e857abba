"""A small HTTP API: price quotes for orders, served through API Gateway."""

import logging

from fastapi import FastAPI, HTTPException
from mangum import Mangum

from app.quotes import Order, Quote, UnknownItemError, quote

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)

app = FastAPI(title="Quotes")


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/quotes", status_code=201)
async def create_quote(order: Order) -> Quote:
    """Price an order, or answer 404 for an item we do not sell."""
    try:
        result = quote(order)
    except UnknownItemError as error:
        raise HTTPException(status_code=404, detail=str(error)) from error
    logger.info("quoted %s for %d x %s", result.total, order.quantity, order.item)
    return result


handler = Mangum(app, lifespan="off")
