"""Standing still at a named step, so that a test can kill the process there."""

import os
import time

from sentiment.progress import log

PAUSE_VARIABLE = "SENTIMENT_PAUSE_AT"
"""`step` or `step:number`: the process stands still there for a minute, so that a test can kill it at that point."""


def pause(step: str, number: int) -> None:
    """Stand still if the environment names this step; `number` is the batch or the ledger's entry in work."""
    wanted = os.environ.get(PAUSE_VARIABLE, "")
    if wanted and wanted in (step, f"{step}:{number}"):
        log.info("standing still at %s, number %d, because of %s", step, number, PAUSE_VARIABLE)
        time.sleep(60)
