"""A person's way: log in at the local Airflow, trigger sentiment_model_serving in test mode, see it green."""

import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("playwright")  # test-spark35's environment has none

import supervisor
from airflow_service import Airflow
from dataproc_server import PLACE, Clients
from gcs_service import Gcs
from playwright.sync_api import Page, expect, sync_playwright
from services import ROOT, free_port
from serving_dags import a_server, registry

pytestmark = pytest.mark.dags
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
QUIET = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
DRIVER = shlex.join([sys.executable, str(ROOT / "tests" / "cicd_driver.py")])
DAG = "sentiment_model_serving"
PATIENCE_MS = 60_000
RUN_MS = 300_000


class Led(Airflow):
    """Airflow among services that are a test's own."""

    def __init__(self, folder: Path, port: int, known: Mapping[str, str]) -> None:
        super().__init__(folder, port)
        self.known = known

    def launch(self, env: Mapping[str, str]) -> None:
        super().launch({**env, **self.known})


@pytest.fixture(scope="module")
def service(gcs: Gcs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Airflow, Clients]]:
    """Airflow with all its parts, and the clients of the Dataproc server that it is led to."""
    if not CHROMIUM:
        pytest.skip("want Chromium on PATH")
    folder = tmp_path_factory.mktemp("ui")
    server = a_server(folder / "dataproc", gcs, DRIVER)
    known = {
        "MLFLOW_TRACKING_URI": registry(folder, "twitter-sentiment-model-best"),
        "KAFKA_BOOTSTRAP": "127.0.0.1:9",
        "DATAPROC_ENDPOINT": f"127.0.0.1:{server.grpc_port}",
        "STORAGE_EMULATOR_HOST": gcs.address(),
    }
    made = Led(folder / "airflow", free_port(), known)
    supervisor.up([made], [], dict, folder / "env")
    yield made, Clients(server, "grpc")
    supervisor.down([made], [], dict, folder / "env")
    server.stop()


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        made = browser.new_page(viewport={"width": 1400, "height": 900})
        made.set_default_timeout(PATIENCE_MS)
        yield made
        browser.close()


def test_a_person_triggers_the_dag_in_test_mode_and_sees_it_green(
    service: tuple[Airflow, Clients], page: Page, tmp_path: Path
) -> None:
    airflow, clients = service

    def shot(name: str) -> Any:
        return page.screenshot(path=str(tmp_path / f"{name}.png"))

    page.goto(f"{airflow.address()}/dags/{DAG}")
    page.locator("input[name=username]").fill("admin")
    page.locator("input[name=password]").fill("admin")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Trigger").first.click()
    dialog = page.get_by_role("dialog").last
    expect(dialog).to_be_visible()
    shot("dialog")
    dialog.get_by_role("button", name="Trigger").click()
    expect(dialog).to_be_hidden()
    page.goto(f"{airflow.address()}/dags/{DAG}/runs")
    expect(page.get_by_text("Success").first).to_be_visible(timeout=RUN_MS)
    shot("green")
    assert not list(clients.jobs.list_jobs(request=PLACE))
