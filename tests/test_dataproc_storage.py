"""Jobs whose files and output are on gs://, on a real fake-gcs-server; and one by the real spark-submit."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from dataproc.staging import storage
from dataproc_server import CLUSTER, PLACE, Clients, Server, State, environment, output, states, wait_for
from gcs_service import Gcs


@pytest.fixture(scope="module")
def store(gcs: Gcs) -> str:
    """The run's object store with the bucket `files`; its URL."""
    storage(gcs.address()).create_bucket("files", timeout=5, retry=None)
    return gcs.address()


@pytest.fixture(scope="module")
def server(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("dataproc"), "--storage-endpoint", store)
    made.start()
    yield made
    made.stop()


def objects(client: Any, uri: str) -> list[bytes]:
    """The objects of a driver's output, in order."""
    bucket, _, prefix = uri.removeprefix("gs://").partition("/")
    blobs = sorted(client.list_blobs(bucket, prefix=f"{prefix}."), key=lambda blob: str(blob.name))
    return [blob.download_as_bytes() for blob in blobs]


def test_files_come_from_the_store_and_output_goes_there_while_the_job_runs(
    store: str, server: Server, tmp_path: Path
) -> None:
    client, gate = storage(store), tmp_path / "go"
    text = "import os, sys, time\nprint('begun', sys.argv[1], os.environ['STORAGE_EMULATOR_HOST'])\n"
    text += f"while not os.path.exists({str(gate)!r}): time.sleep(0.05)\nprint('end')"
    client.bucket("files").blob("code/main.py").upload_from_string(text)
    client.bucket("files").blob("code/lib.zip").upload_from_string(b"zip")
    clients = Clients(server, "grpc")
    pyspark = {"args": ["gs://files/in"], "python_file_uris": ["gs://files/code/lib.zip"]}
    job = clients.submit("gs://files/code/main.py", pyspark=pyspark)
    assert job.driver_output_resource_uri.startswith("gs://dataproc-staging-local/google-cloud-dataproc-metainfo/")
    wait_for(
        lambda: f"begun gs://files/in {store}".encode() in b"".join(objects(client, job.driver_output_resource_uri))
    )
    assert clients.job(job.reference.job_id).status.state == State.RUNNING
    gate.touch()
    assert states(clients.ended(job)) == ["PENDING", "SETUP_DONE", "RUNNING", "DONE"]
    pieces = objects(client, job.driver_output_resource_uri)
    assert pieces[-1] == b""  # for gcloud the end of the stream
    assert all(pieces[:-1])
    whole = b"".join(pieces)
    assert [whole.count(word) for word in (b"begun", b"end\n")] == [1, 1]
    assert b"/files/python_file_uris/0/lib.zip" in whole


@pytest.mark.parametrize("uri", ["gs://files/absent.py", "gs://absent/main.py"])
def test_a_main_file_missing_in_the_store_is_an_error_that_names_it(server: Server, uri: str) -> None:
    clients = Clients(server, "rest")
    done = clients.ended(clients.submit(uri))
    assert states(done) == ["PENDING", "SETUP_DONE", "ERROR"]
    assert done.status.details.startswith(f"File not found: {uri}")


@pytest.fixture
def gcloud(store: str, server: Server, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The real gcloud against the two servers, without credentials."""
    core = {"DISABLE_PROMPTS": "1", "CHECK_GCE_METADATA": "false", "DISABLE_USAGE_REPORTING": "true"}
    env = {
        **environment(),
        **{f"CLOUDSDK_CORE_{name}": value for name, value in core.items()},
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": PLACE["project_id"],
        "CLOUDSDK_DATAPROC_REGION": PLACE["region"],
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{store}/storage/v1/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC": f"http://127.0.0.1:{server.rest_port}/",
    }
    env.pop("PYTHONPATH")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["gcloud", "dataproc", *words], env=env, capture_output=True, text=True, timeout=60, check=False
        )

    return run


@pytest.mark.gcloud
def test_gcloud_submits_streams_lists_and_kills(
    gcloud: Callable[..., subprocess.CompletedProcess[str]], server: Server, tmp_path: Path
) -> None:
    main = tmp_path / "main.py"
    main.write_text("import sys, time; print('hello', sys.argv[1:]); time.sleep(float(sys.argv[1]))", encoding="utf-8")
    submit = ["jobs", "submit", "pyspark", str(main), "--cluster", CLUSTER, "--labels", "env=staging"]
    ran = gcloud(*submit, "--", "0")
    assert ran.returncode == 0, ran.stderr
    assert "hello ['0']" in ran.stderr
    assert "finished successfully" in ran.stderr
    failed = gcloud(*submit, "--", "x")
    assert failed.returncode != 0
    assert "ValueError" in failed.stderr
    ran = gcloud(*submit, "--async", "--format", "value(reference.jobId)", "--", "120")
    name = ran.stdout.strip()
    clients = Clients(server, "grpc")
    clients.reached(clients.job(name), State.RUNNING)
    listed = gcloud(
        "jobs",
        "list",
        "--filter",
        "status.state = ACTIVE AND labels.env = staging",
        "--format",
        "value(reference.jobId)",
    )
    assert listed.stdout.split() == [name]
    assert gcloud("jobs", "kill", name).returncode == 0
    assert clients.ended(clients.job(name)).status.state == State.CANCELLED


@pytest.mark.gcloud
def test_gcloud_creates_describes_and_deletes_clusters(
    gcloud: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    init = ["--initialization-actions", "gs://files/init.sh", "--metadata", "PIP_PACKAGES=mlflow"]
    created = gcloud("clusters", "create", "by-gcloud", *init, "--num-workers", "3")
    assert created.returncode == 0, created.stderr
    shown = "value(config.workerConfig.numInstances,config.gceClusterConfig.metadata.PIP_PACKAGES)"
    assert gcloud("clusters", "describe", "by-gcloud", "--format", shown).stdout.split() == ["3", "mlflow"]
    assert gcloud("operations", "list", "--cluster", "by-gcloud", "--format", "value(done)").stdout.split() == ["True"]
    assert gcloud("clusters", "delete", "by-gcloud").returncode == 0
    gone = gcloud("clusters", "describe", "by-gcloud")
    assert "NOT_FOUND" in gone.stderr


def test_a_job_runs_by_the_real_spark_submit(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text("ROWS = 7\n", encoding="utf-8")
    (tmp_path / "main.py").write_text(
        "import sys\n"
        "from helper import ROWS\n"
        "from pyspark.sql import SparkSession\n"
        "spark = SparkSession.builder.getOrCreate()\n"
        "conf = spark.sparkContext.getConf()\n"
        "print(spark.range(ROWS).count(), conf.get('spark.test.key'), sys.argv[1:])\n",
        encoding="utf-8",
    )
    server = Server(tmp_path / "dataproc", "--master", "local[1]", "--conf", "spark.ui.enabled=false", submit="")
    server.start()
    try:
        clients = Clients(server, "grpc")
        pyspark = {
            "args": ["a b"],
            "python_file_uris": [str(tmp_path / "helper.py")],
            "properties": {"spark.test.key": "of the job"},
        }
        done = clients.ended(clients.submit(tmp_path / "main.py", pyspark=pyspark))
    finally:
        server.stop()
    assert (done.status.state, done.status.details) == (State.DONE, "")
    assert "7 of the job ['a b']" in output(done)
