"""The Dataproc server as `make up` starts it: its variables, its line in the table, a job by a real spark-submit."""

from pathlib import Path

import pytest
import supervisor
from dataproc_server import Clients, Server, output, states
from dataproc_service import Dataproc
from services import ServiceError, free_port


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dataproc:
    for key in ("GRPC_PORT", "REST_PORT"):
        monkeypatch.setenv(f"DATAPROC_{key}", str(free_port()))
    return Dataproc(tmp_path / "dataproc")


def test_make_up_starts_it_with_the_suite_s_cluster_and_make_down_stops_it(
    service: Dataproc, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    env_file = tmp_path / "env"
    supervisor.up([service], [], dict, env_file)
    try:
        ports = service.ports()
        assert f"export DATAPROC_ENDPOINT=127.0.0.1:{ports['grpc_port']}\n" in env_file.read_text()
        gcloud = f"export CLOUDSDK_API_ENDPOINT_OVERRIDES_DATAPROC=http://127.0.0.1:{ports['rest_port']}/\n"
        assert gcloud in env_file.read_text()
        server = Server(tmp_path / "unused")
        server.grpc_port, server.rest_port = ports["grpc_port"], ports["rest_port"]
        (tmp_path / "job.py").write_text(
            "from pyspark.sql import SparkSession\n"
            "spark = SparkSession.builder.getOrCreate()\n"
            "print('counted', spark.range(7).count(), spark.conf.get('spark.driver.bindAddress'))\n"
        )
        clients = Clients(server, "grpc")
        job = clients.ended(clients.submit(tmp_path / "job.py"))
        assert states(job)[-1] == "DONE", output(job)
        assert "counted 7 127.0.0.1" in output(job)
        supervisor.status([service])
    finally:
        supervisor.down([service], [], dict, env_file)
    assert "dataproc  127.0.0.1:" in capsys.readouterr().out
    assert not service.is_running()
    with pytest.raises(ServiceError, match="nothing is running"):
        supervisor.status([service])
