"""Submits a job by the DAGs' operator in processes that are killed (SIGKILL) while they do; the last one lives.

Arguments: job id, main file, cluster, kills. Each child is killed a little later than the one before: before the
request leaves, while the server has it, after its answer. The last one's job id is printed.
"""

import os
import signal
import sys
import threading
import time
from typing import Any

from airflow import plugins_manager
from sentiment_dags.operators import AttachingSubmitJobOperator

STEP_SECONDS = 0.004


class Silent:
    """As much of a task instance as the operator's links want."""

    def xcom_push(self, **_: Any) -> None:
        """Nothing."""


def submit(job_id: str, main: str, cluster: str, deadly: float | None) -> str:
    """Submit, and die that many seconds after the request was begun."""
    operator = AttachingSubmitJobOperator(
        task_id="submit",
        job={
            "reference": {"job_id": job_id},
            "placement": {"cluster_name": cluster},
            "pyspark_job": {"main_python_file_uri": main},
        },
        region="us-central1",
        project_id="sentiment-local",
        asynchronous=True,
        deferrable=False,
    )
    if deadly is not None:
        begin = operator._submitted

        def dying(name: str) -> Any:
            def die() -> None:
                time.sleep(deadly)
                os.kill(os.getpid(), signal.SIGKILL)

            threading.Thread(target=die, daemon=True).start()
            begin(name)
            time.sleep(60)

        vars(operator)["_submitted"] = dying
    return str(operator.execute({"ti": Silent()}))


def main() -> None:
    """Kill and repeat."""
    job_id, path, cluster, kills = sys.argv[1:]
    plugins_manager.ensure_plugins_loaded()
    for number in range(int(kills)):
        child = os.fork()
        if not child:
            submit(job_id, path, cluster, number * STEP_SECONDS)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        # A child that finds the job attaches, lives and ends well; one that submits is killed.
        print("try:", "killed" if os.WIFSIGNALED(status) else "attached", flush=True)
    print("try:", submit(job_id, path, cluster, None), flush=True)


if __name__ == "__main__":
    main()
