"""The methods of the API: one table for both transports."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.cloud import dataproc_v1 as dp
from google.longrunning import operations_pb2 as lro
from google.protobuf import empty_pb2

from dataproc.clusters import Clusters
from dataproc.jobs import Jobs
from dataproc.operations import Operations

REGION = "projects/{project_id}/regions/{region}"
DATAPROC = "google.cloud.dataproc.v1"
LONG_RUNNING = "google.longrunning.Operations"


@dataclass(frozen=True)
class Method:
    """One method of the API.

    Attributes:
        name: its full gRPC name, without the leading slash.
        request: the protobuf class of its request.
        wrap: what its handler takes the request as.
        handler: takes the request and gives the answer, or raises ApiError.
        verb, path: its REST form; {field} is one part of the path, {name} of an operation all of it.
        body: the request's field that the HTTP body holds; * is the whole request, empty is none.
    """

    name: str
    request: Any
    wrap: Callable[[Any], Any]
    handler: Callable[[Any], Any]
    verb: str
    path: str
    body: str = ""

    def __call__(self, request: Any) -> Any:
        """The answer to a protobuf request, as a protobuf message."""
        answer = self.handler(self.wrap(request))
        if answer is None:
            return empty_pb2.Empty()
        return type(answer).pb(answer) if hasattr(type(answer), "pb") else answer


def methods(clusters: Clusters, jobs: Jobs, operations: Operations) -> list[Method]:
    """All methods of this server."""

    def job(name: str, kind: Any, handler: Callable[[Any], Any], verb: str, path: str, body: str = "") -> Method:
        full = f"{DATAPROC}.JobController/{name}"
        return Method(full, kind.pb(), kind.wrap, handler, verb, f"{REGION}/jobs{path}", body)

    def cluster(name: str, kind: Any, handler: Callable[[Any], Any], verb: str, path: str, body: str = "") -> Method:
        full = f"{DATAPROC}.ClusterController/{name}"
        return Method(full, kind.pb(), kind.wrap, handler, verb, f"{REGION}/clusters{path}", body)

    def operation(name: str, kind: Any, handler: Callable[[Any], Any], verb: str, path: str, body: str = "") -> Method:
        return Method(f"{LONG_RUNNING}/{name}", kind, lambda request: request, handler, verb, path, body)

    return [
        job("SubmitJob", dp.SubmitJobRequest, jobs.submit, "POST", ":submit", "*"),
        job("SubmitJobAsOperation", dp.SubmitJobRequest, operations.submit_job, "POST", ":submitAsOperation", "*"),
        job("GetJob", dp.GetJobRequest, jobs.get, "GET", "/{job_id}"),
        job("ListJobs", dp.ListJobsRequest, jobs.list, "GET", ""),
        job("UpdateJob", dp.UpdateJobRequest, jobs.update, "PATCH", "/{job_id}", "job"),
        job("CancelJob", dp.CancelJobRequest, jobs.cancel, "POST", "/{job_id}:cancel", "*"),
        job("DeleteJob", dp.DeleteJobRequest, jobs.delete, "DELETE", "/{job_id}"),
        cluster("CreateCluster", dp.CreateClusterRequest, clusters.create, "POST", "", "cluster"),
        cluster("UpdateCluster", dp.UpdateClusterRequest, clusters.update, "PATCH", "/{cluster_name}", "cluster"),
        cluster("StopCluster", dp.StopClusterRequest, clusters.stop, "POST", "/{cluster_name}:stop", "*"),
        cluster("StartCluster", dp.StartClusterRequest, clusters.start_cluster, "POST", "/{cluster_name}:start", "*"),
        cluster("DeleteCluster", dp.DeleteClusterRequest, clusters.delete, "DELETE", "/{cluster_name}"),
        cluster("GetCluster", dp.GetClusterRequest, clusters.get, "GET", "/{cluster_name}"),
        cluster("ListClusters", dp.ListClustersRequest, clusters.list, "GET", ""),
        cluster(
            "DiagnoseCluster", dp.DiagnoseClusterRequest, clusters.diagnose, "POST", "/{cluster_name}:diagnose", "*"
        ),
        operation("GetOperation", lro.GetOperationRequest, operations.get, "GET", "{name}"),
        operation("ListOperations", lro.ListOperationsRequest, operations.list, "GET", "{names}"),
        operation("WaitOperation", lro.WaitOperationRequest, operations.wait, "POST", "{name}:wait", "*"),
        operation("CancelOperation", lro.CancelOperationRequest, operations.cancel, "POST", "{name}:cancel", "*"),
        operation("DeleteOperation", lro.DeleteOperationRequest, operations.delete, "DELETE", "{name}"),
    ]
