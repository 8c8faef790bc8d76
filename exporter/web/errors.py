"""How a request can fail, and how each interface says so."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus

import orjson
from aiohttp import web

log = logging.getLogger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

PROMETHEUS = "/api/prometheus/"


class ApiError(Exception):
    """A request that cannot be answered. `code` is a short fixed word, `details` name the fields."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = dict(details or {})


def bad_request(message: str, field: str = "") -> ApiError:
    """400; `field` names what is wrong in the request."""
    return ApiError(400, "bad_request", message, {"field": field} if field else None)


def not_found(message: str) -> ApiError:
    """404."""
    return ApiError(404, "not_found", message)


def json_response(value: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    body = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    return web.Response(body=body, status=status, headers={"Content-Type": "application/json", **(headers or {})})


def error_response(err: ApiError) -> web.Response:
    """`{success: false, error: {code, message, details}}` with the error's status."""
    error = {"code": err.code, "message": err.message, "details": err.details}
    return json_response({"success": False, "error": error}, err.status)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turns what a handler raises into an answer; the Prometheus paths get plain text, the others JSON."""
    try:
        return await handler(request)
    except ApiError as err:
        return error_response(err)
    except web.HTTPException as err:
        if err.status < 400:
            raise
        return _http_error(request, err)
    except Exception:
        log.exception("request failed method=%s path=%s", request.method, request.path)
        if request.path.startswith(PROMETHEUS):
            return web.Response(status=500, text="internal error\n")
        return error_response(ApiError(500, "internal", "internal error; the log says more"))


def _http_error(request: web.Request, err: web.HTTPException) -> web.Response:
    allow = {"Allow": err.headers["Allow"]} if "Allow" in err.headers else {}
    if request.path.startswith(PROMETHEUS) or not request.path.startswith("/api/"):
        text = "404 page not found\n" if err.status == 404 else f"{err.reason}\n"
        return web.Response(status=err.status, text=text, headers=allow)
    phrase = HTTPStatus(err.status).phrase
    answer = error_response(ApiError(err.status, phrase.lower().replace(" ", "_"), phrase))
    answer.headers.update(allow)
    return answer
