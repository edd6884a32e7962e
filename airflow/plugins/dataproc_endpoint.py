"""Lead Airflow's Dataproc hooks to the server that the connection's extra names as `dataproc_endpoint` (host:port).

The Google provider knows Google's own addresses only. Where a connection names another one, its hooks get clients for
clusters, jobs and operations over a plain gRPC channel, without credentials. A connection that names none is left as it
is; batches and workflow templates always go to Google.
"""

import functools
import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import grpc
from airflow.plugins_manager import AirflowPlugin

HOOKS = "airflow.providers.google.cloud.hooks.dataproc"
NO_PROXY = (("grpc.enable_http_proxy", 0),)
MARK = "_dataproc_endpoint"


class DataprocEndpointPlugin(AirflowPlugin):
    """What Airflow lists under Plugins."""

    name = "dataproc_endpoint"


def endpoint(hook: Any) -> str:
    """The address that the hook's connection names; empty: Google's. ValueError: it is no host:port."""
    found = str(hook._get_field("dataproc_endpoint", None) or "")
    host, _, port = found.rpartition(":")
    if found and not (host and "/" not in host and port.isdecimal()):
        raise ValueError(
            f"connection {hook.gcp_conn_id}: want dataproc_endpoint in its extra to be host:port, found {found!r}"
        )
    return found


def lead(hooks: ModuleType) -> None:
    """Put clients for the connection's own endpoint before those of the module's hooks; once, however often called."""
    from google.cloud import dataproc_v1 as dp
    from google.cloud.dataproc_v1.services.cluster_controller import transports as clusters
    from google.cloud.dataproc_v1.services.job_controller import transports as jobs

    def sync_channel(where: str) -> grpc.Channel:
        return grpc.insecure_channel(where, options=NO_PROXY)

    def async_channel(where: str) -> grpc.aio.Channel:
        return grpc.aio.insecure_channel(where, options=NO_PROXY)

    def cluster_client(where: str) -> Any:
        transport = clusters.ClusterControllerGrpcTransport(channel=sync_channel(where))
        return dp.ClusterControllerClient(transport=transport)

    def job_client(where: str) -> Any:
        return dp.JobControllerClient(transport=jobs.JobControllerGrpcTransport(channel=sync_channel(where)))

    def async_cluster_client(where: str) -> Any:
        transport = clusters.ClusterControllerGrpcAsyncIOTransport(channel=async_channel(where))
        return dp.ClusterControllerAsyncClient(transport=transport)

    def async_job_client(where: str) -> Any:
        transport = jobs.JobControllerGrpcAsyncIOTransport(channel=async_channel(where))
        return dp.JobControllerAsyncClient(transport=transport)

    if getattr(hooks, MARK, False):
        return
    setattr(hooks, MARK, True)
    _lead_sync(hooks.DataprocHook, "get_cluster_client", cluster_client)
    _lead_sync(hooks.DataprocHook, "get_job_client", job_client)
    _lead_sync(
        hooks.DataprocHook, "get_operations_client", lambda where: cluster_client(where).transport.operations_client
    )
    _lead_async(hooks.DataprocAsyncHook, "get_cluster_client", async_cluster_client)
    _lead_async(hooks.DataprocAsyncHook, "get_job_client", async_job_client)
    _lead_async(
        hooks.DataprocAsyncHook,
        "get_operations_client",
        lambda where: async_cluster_client(where).transport.operations_client,
    )


def _lead_sync(hook: Any, method: str, make: Callable[[str], Any]) -> None:
    theirs = getattr(hook, method)

    @functools.wraps(theirs)
    def client(self: Any, region: str | None = None) -> Any:
        where = endpoint(self)
        return make(where) if where else theirs(self, region=region)

    setattr(hook, method, client)


def _lead_async(hook: Any, method: str, make: Callable[[str], Any]) -> None:
    theirs = getattr(hook, method)

    @functools.wraps(theirs)
    async def client(self: Any, region: str | None = None) -> Any:
        where = endpoint(await self.get_sync_hook())
        if not where:
            return await theirs(self, region=region)
        kept = vars(self).setdefault(MARK, {})  # one channel for all polls of a trigger
        if method not in kept:
            kept[method] = make(where)
        return kept[method]

    setattr(hook, method, client)


class _WhenImported(MetaPathFinder):
    """Leads the hooks right after somebody imports them: importing them takes 5 s, and most processes never do."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002  the finder's interface
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != HOOKS:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(fullname)
        if spec is None or spec.loader is None:
            return spec
        theirs = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            theirs(module)
            lead(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


if HOOKS in sys.modules:
    lead(sys.modules[HOOKS])
else:
    sys.meta_path.insert(0, _WhenImported())
