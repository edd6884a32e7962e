"""What leads gcloud, gsutil and the client libraries of Google Cloud to this machine, and nowhere else."""

from pathlib import Path

import settings

# gsutil knows none of gcloud's overrides, and speaks to the JSON API over TLS only.
BOTO = """\
# Written by `make up`: leads gsutil to the local object store.
[Credentials]
gs_json_host = 127.0.0.1
gs_json_port = {port}
gs_host = 127.0.0.1
gs_port = {port}
s3_host = 127.0.0.1
s3_port = {port}

[Boto]
https_validate_certificates = False
num_retries = 2
metadata_service_num_attempts = 1
metadata_service_timeout = 1

[GSUtil]
default_project_id = {project}
prefer_api = json
software_update_check_period = 0
disable_analytics_prompt = True
use_magicfile = False
parallel_composite_upload_threshold = 0
state_dir = {state}
"""

MARK = "SENTIMENT_LOCAL_ENV"
"""By this variable ci-cd/lib.sh knows a local shell: which services run makes no difference."""

STORE = "SENTIMENT_LOCAL_GCS"
"""By this variable services know that the object store runs: STORAGE_EMULATOR_HOST is there in any case."""

# gcloud looks for a cloud's metadata server, whatever it is told; port 1 has nobody listening.
NO_METADATA = {
    "NO_GCE_CHECK": "true",
    **dict.fromkeys(("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP"), "127.0.0.1:1"),
}


# Of the names that the scripts of ci-cd/ know; each bucket is the one of local/settings.toml that ends so.
BUCKETS = ("code", "data", "models", "checkpoint", "predictions", "streaming-input", "staging")


def suite() -> dict[str, str]:
    """The settings of the scripts in ci-cd/ (env.example there): what a user's file says of a cloud does not count."""
    there = settings.words("gcs", "buckets")
    found = {kind: [name for name in there if name.endswith(f"-{kind}")] for kind in BUCKETS}
    return {
        "PROJECT_ID": settings.text("cloud", "project"),
        "REGION": settings.text("cloud", "region"),
        "CLUSTER": settings.text("cloud", "cluster"),
        **{
            f"{kind.upper().replace('-', '_')}_BUCKET": (names or [f"sentiment-bucket-{kind}"])[0]
            for kind, names in found.items()
        },
        "MODEL_NAME": "twitter-sentiment-model-best",
        # The local Dataproc gives each job its connectors, and a cluster of its has no machines.
        **dict.fromkeys(("TRAINING_PROPERTIES", "SERVING_PROPERTIES", "ZONE"), ""),
        **dict.fromkeys(("MINICONDA_GCS_URI", "MINICONDA_SHA256", "WHEELS_GCS_URI"), ""),
    }


def exports(folder: Path, gcs_port: int, gcs_tls_port: int) -> dict[str, str]:
    """Variables for a shell beside a running object store."""
    return {STORE: "1", **always(folder, gcs_port, gcs_tls_port)}


def always(folder: Path, gcs_port: int, gcs_tls_port: int) -> dict[str, str]:
    """Variables for a shell whatever runs, and the two places under `folder` that they name: boto's file and gcloud's.

    A local shell must not reach a cloud because a service of its own is missing: what does not run does not answer.
    """
    project, region = settings.text("cloud", "project"), settings.text("cloud", "region")
    gcloud, boto = folder / "gcloud", folder / "boto"
    gcloud.mkdir(parents=True, exist_ok=True)
    boto.write_text(BOTO.format(port=gcs_tls_port, project=project, state=folder / "gsutil"), encoding="utf-8")
    rest = settings.port("dataproc", "rest_port")
    return {
        MARK: "1",
        "GOOGLE_CLOUD_PROJECT": project,
        **NO_METADATA,
        "STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{gcs_port}",
        "BOTO_CONFIG": str(boto),
        "CLOUDSDK_CONFIG": str(gcloud),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": project,
        "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false",
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "true",
        "CLOUDSDK_CORE_SURVEY_DISABLE_PROMPTS": "true",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "true",
        "CLOUDSDK_DATAPROC_REGION": region,
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"http://127.0.0.1:{gcs_tls_port}/storage/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"http://127.0.0.1:{rest}/",
        **suite(),
    }
