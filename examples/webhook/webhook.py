"""Receive a signed webhook behind a function URL and pass it on.

The sender signs the body with HMAC-SHA256 and puts `sha256=<hex>` into the header `X-Hub-Signature-256`.

Environment:
    WEBHOOK_SECRET  the shared secret; the default is for trying the example out, never for production
    FORWARD_URL     where a verified payload goes; when it is not set, the payload is only reported
"""

import base64
import hashlib
import hmac
import json
import logging
import os
from http import HTTPStatus
from typing import Any

import requests

TEST_SECRET = "test-secret"
SIGNATURE_HEADER = "x-hub-signature-256"
TIMEOUT_SECONDS = 5

logging.getLogger().setLevel(logging.INFO)
logger = logging.getLogger(__name__)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Answer 401 to a bad signature, 502 when the payload could not be passed on, 200 otherwise."""
    body = raw_body(event)
    if not is_signed(body, event.get("headers", {}).get(SIGNATURE_HEADER, "")):
        logger.warning("rejected a payload of %d bytes: bad signature", len(body))
        return response(HTTPStatus.UNAUTHORIZED, error="bad signature")

    url = os.environ.get("FORWARD_URL")
    if not url:
        logger.info("verified a payload of %d bytes, FORWARD_URL is not set", len(body))
        return response(HTTPStatus.OK, verified=True, forwarded=False, bytes=len(body))

    try:
        reply = requests.post(
            url, data=body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_SECONDS
        )
        reply.raise_for_status()
    except requests.RequestException:
        logger.exception("could not forward the payload")
        return response(HTTPStatus.BAD_GATEWAY, error="could not forward the payload")
    logger.info("forwarded a payload of %d bytes", len(body))
    return response(HTTPStatus.OK, verified=True, forwarded=True, bytes=len(body))


def raw_body(event: dict[str, Any]) -> bytes:
    """Return the body as it was sent; the signature covers these very bytes."""
    body: str = event.get("body") or ""
    return base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()


def is_signed(body: bytes, signature: str) -> bool:
    secret = os.environ.get("WEBHOOK_SECRET", TEST_SECRET)
    expected = "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    # Bytes, because compare_digest refuses a str with anything but ASCII in it.
    return hmac.compare_digest(expected.encode(), signature.encode())


def response(status: HTTPStatus, **content: Any) -> dict[str, Any]:
    return {
        "statusCode": int(status),
        "headers": {"content-type": "application/json"},
        "body": json.dumps(content),
    }
