"""Says until when to pay."""

from typing import Any

from dateutil.parser import isoparse
from dateutil.relativedelta import relativedelta


def handler(event: dict[str, Any], context: object) -> dict[str, str]:
    return {"due": (isoparse(event["ordered"]) + relativedelta(months=1)).date().isoformat()}
