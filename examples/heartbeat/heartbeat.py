"""Check on a schedule that services accept connections. Needs nothing but the standard library.

Environment:
    ENDPOINTS  what to check, as "host:port,host:port"; when it is not set, the function only reports itself
"""

import logging
import os
import socket
from typing import Any

TIMEOUT_SECONDS = 3.0

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Return "ok", or "degraded" with the endpoints that could not be reached."""
    endpoints = [item.strip() for item in os.environ.get("ENDPOINTS", "").split(",") if item.strip()]
    down = [endpoint for endpoint in endpoints if not accepts_connections(endpoint)]
    status = "degraded" if down else "ok"
    logger.info("heartbeat of %s: %s, %d checked", event["time"], status, len(endpoints))
    return {"status": status, "scheduled": event["time"], "checked": len(endpoints), "down": down}


def accepts_connections(endpoint: str) -> bool:
    host, _, port = endpoint.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=TIMEOUT_SECONDS):
            return True
    except OSError as error:
        logger.warning("%s: %s", endpoint, error)
        return False
