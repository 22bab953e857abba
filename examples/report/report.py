"""Summarise sales figures.

Event: {"csv": "region,amount\\n…"}
"""

import io
import logging
from typing import Any

import numpy as np
import pandas as pd

COLUMNS = ("region", "amount")

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Return totals per region and the spread of the amounts; rows without an amount are counted apart."""
    sales = pd.read_csv(io.StringIO(event["csv"]))
    missing = [column for column in COLUMNS if column not in sales.columns]
    if missing:
        raise ValueError(f"the CSV has no column {', '.join(missing)}")

    complete = sales.dropna(subset=["amount"])
    logger.info("read %d rows, %d of them complete", len(sales), len(complete))
    if complete.empty:
        return {"rows": 0, "incomplete": len(sales), "regions": {}, "median": None, "p90": None}

    totals = complete.groupby("region")["amount"].sum()
    median, p90 = np.percentile(complete["amount"].to_numpy(), [50, 90])
    return {
        "rows": len(complete),
        "incomplete": len(sales) - len(complete),
        "regions": {str(region): round(float(total), 2) for region, total in totals.items()},
        "median": round(float(median), 2),
        "p90": round(float(p90), 2),
    }
