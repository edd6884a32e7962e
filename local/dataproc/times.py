"""Times as the API's messages hold them."""

from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def now() -> Timestamp:
    """This moment."""
    made = Timestamp()
    made.GetCurrentTime()
    return made


def seconds(time: Any) -> float:
    """Seconds since 1970 of a message's time."""
    return float(time.timestamp())


def moment(time: Any) -> datetime:
    """A message's time, in UTC."""
    return datetime.fromtimestamp(time.timestamp(), UTC)
