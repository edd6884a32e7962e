"""gs:// on an object store of this machine: what Spark has to be told. Without Spark itself: servers import it too."""

import os


def settings(endpoint: str) -> dict[str, str]:
    """What gives Spark gs:// on a local object store: for Google's gcs-connector 2.2 and 3.1, without credentials.

    Args:
        endpoint: HOST:PORT or a URL, as STORAGE_EMULATOR_HOST holds it.
    """
    root = endpoint if "://" in endpoint else f"http://{endpoint}"
    return {
        "spark.hadoop.fs.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFileSystem",
        "spark.hadoop.fs.AbstractFileSystem.gs.impl": "com.google.cloud.hadoop.fs.gcs.GoogleHadoopFS",
        "spark.hadoop.fs.gs.storage.root.url": f"{root.rstrip('/')}/",
        "spark.hadoop.fs.gs.project.id": os.environ.get("GOOGLE_CLOUD_PROJECT") or "local",
        # 3.1 reads the first, 2.2 the others; without them the connector asks the cloud's metadata server.
        "spark.hadoop.fs.gs.auth.type": "UNAUTHENTICATED",
        "spark.hadoop.fs.gs.auth.null.enable": "true",
        "spark.hadoop.fs.gs.auth.service.account.enable": "false",
    }
