"""Tell people about failed orders: from an EventBridge event to an SNS message.

Environment:
    TOPIC_ARN  the topic to publish to; when it is not set, the message is only returned
"""

import functools
import json
import os
from typing import TYPE_CHECKING, Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.data_classes import EventBridgeEvent, event_source

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

REQUIRED = {"order_id": str, "reason": str}
SUBJECT_LIMIT = 100  # characters; SNS refuses more

logger = Logger(service="notify")


@functools.cache
def sns() -> Any:
    """Return the SNS client, made on first use: importing this module needs no region and no credentials."""
    return boto3.client("sns")


@logger.inject_lambda_context
@event_source(data_class=EventBridgeEvent)
def handler(event: EventBridgeEvent, context: "LambdaContext") -> dict[str, Any]:
    """Publish the message when there is a topic; return it either way."""
    message = build_message(event)
    topic = os.environ.get("TOPIC_ARN")
    if not topic:
        logger.info("TOPIC_ARN is not set, nothing published", extra={"subject": message["Subject"]})
        return {"published": False, "message": message}

    message_id = sns().publish(TopicArn=topic, **message)["MessageId"]
    logger.info("published", extra={"message_id": message_id})
    return {"published": True, "message_id": message_id, "message": message}


def build_message(event: EventBridgeEvent) -> dict[str, Any]:
    """Return the arguments of `publish`; raise ValueError when the event lacks what people need to know."""
    detail = event.detail
    problems = [key for key, kind in REQUIRED.items() if not isinstance(detail.get(key), kind)]
    if problems:
        raise ValueError(f"missing or malformed in the event's detail: {', '.join(problems)}")
    return {
        "Subject": f"Order {detail['order_id']} failed"[:SUBJECT_LIMIT],
        "Message": json.dumps({"order": detail["order_id"], "reason": detail["reason"], "time": event.time}),
        "MessageAttributes": {"type": {"DataType": "String", "StringValue": event.detail_type}},
    }
