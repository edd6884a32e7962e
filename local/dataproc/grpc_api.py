"""The API over gRPC, without TLS, on 127.0.0.1."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from dataproc.errors import ApiError
from dataproc.methods import Method

THREADS = 32


def serve(methods: Iterable[Method], port: int) -> Any:
    """Start the server; OSError when the port is taken."""
    # Without this a second server would share the port in silence.
    server = grpc.server(ThreadPoolExecutor(THREADS, "grpc"), options=[("grpc.so_reuseport", 0)])
    services: dict[str, dict[str, Any]] = {}
    for method in methods:
        service, _, name = method.name.partition("/")
        services.setdefault(service, {})[name] = grpc.unary_unary_rpc_method_handler(
            _handler(method),
            request_deserializer=method.request.FromString,
            response_serializer=lambda answer: answer.SerializeToString(),
        )
    for service, handlers in services.items():
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    try:
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
    except RuntimeError as error:
        raise OSError(str(error)) from None
    if not bound:
        raise OSError("Address already in use")
    server.start()
    return server


def _handler(method: Method) -> Callable[[Any, Any], Any]:
    def handle(request: Any, context: Any) -> Any:
        try:
            return method(request)
        except ApiError as error:
            context.abort(error.code, str(error))
        except Exception as error:  # noqa: BLE001  the client gets a status, whatever went wrong
            print(f"{method.name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            context.abort(grpc.StatusCode.INTERNAL, f"{type(error).__name__}: {error}")

    return handle
