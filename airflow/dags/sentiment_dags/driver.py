"""The end of what a job's driver said, for the log of the task that waited for it."""

import re
from typing import Any

from sentiment_dags import store

LINES = 25
MOST_BYTES = 64 * 1024
CHATTER = re.compile(r"\s*$|[0-9/]+ [0-9:]+ INFO ")


def last_lines(job: Any, connection: str = store.CONNECTION) -> list[str]:
    """The last lines of the driver's output without Spark's chatter; a line that says why there are none.

    Args:
        job: a job as Dataproc describes it; its output lies at driver_output_resource_uri, followed by .000000000.
        connection: Airflow's Google connection.
    """
    uri = str(job.driver_output_resource_uri)
    if not uri.startswith("gs://"):
        return [f"the driver's output is at {uri or 'no place'}"]
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    try:
        client = store.client(connection)
        parts = sorted(
            client.list_blobs(bucket, prefix=f"{prefix}.", timeout=store.SECONDS), key=lambda blob: blob.name
        )
        content = b""
        for blob in reversed(parts):
            content = blob.download_as_bytes(timeout=store.SECONDS) + content
            if len(content) >= MOST_BYTES:
                break
    except Exception as error:  # noqa: BLE001  the job's own failure is what has to be told
        return [f"the driver's output at {uri} cannot be read: {type(error).__name__}"]
    lines = content[-MOST_BYTES:].decode("utf-8", "replace").splitlines()
    return [line[:400] for line in lines if not CHATTER.match(line)][-LINES:] or [f"the driver left no output at {uri}"]
