"""The errors of the API, one status each, as both transports give them."""

from http import HTTPStatus

from grpc import StatusCode

HTTP = {
    StatusCode.INVALID_ARGUMENT: HTTPStatus.BAD_REQUEST,
    StatusCode.FAILED_PRECONDITION: HTTPStatus.BAD_REQUEST,
    StatusCode.PERMISSION_DENIED: HTTPStatus.FORBIDDEN,
    StatusCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: HTTPStatus.CONFLICT,
    StatusCode.UNIMPLEMENTED: HTTPStatus.NOT_IMPLEMENTED,
    StatusCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


class ApiError(Exception):
    """A call that is refused: a gRPC status code and one line."""

    def __init__(self, code: StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code

    @property
    def http(self) -> int:
        """The HTTP status that stands for the code."""
        return HTTP[self.code].value


def invalid(message: str) -> ApiError:
    """INVALID_ARGUMENT: the request is wrong whatever the server's state."""
    return ApiError(StatusCode.INVALID_ARGUMENT, message)


def not_found(what: str, name: str) -> ApiError:
    """NOT_FOUND."""
    return ApiError(StatusCode.NOT_FOUND, f"Not found: {what} {name}")


def no_region(name: str) -> ApiError:
    """PERMISSION_DENIED, in the service's words: it does not tell a region that is not there from a closed one."""
    return ApiError(StatusCode.PERMISSION_DENIED, f"Permission denied on 'locations/{name}' (or it may not exist).")


def already_exists(what: str, name: str) -> ApiError:
    """ALREADY_EXISTS."""
    return ApiError(StatusCode.ALREADY_EXISTS, f"Already exists: {what} {name}")


def refused(message: str) -> ApiError:
    """FAILED_PRECONDITION: not in the present state."""
    return ApiError(StatusCode.FAILED_PRECONDITION, message)


def unimplemented(message: str) -> ApiError:
    """UNIMPLEMENTED: the service has it, this server does not."""
    return ApiError(StatusCode.UNIMPLEMENTED, message)
