"""The HTTP API: scores to filter and follow, sensors, health, metrics and the page."""

from __future__ import annotations

from importlib.resources import files

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException as AnyHTTPException

from service import StateError, __version__
from service.api import events, feedback, models, operations, responses, scores
from service.api.access import Access, Guard
from service.api.docs import describe
from service.api.params import unknown
from service.sinks.index import IndexUnavailableError
from service.worker.service import Service

PAGE = files("service") / "page"


def build(service: Service, access: Access | None = None) -> FastAPI:
    """The application that shows ``service``; with ``access`` as its settings say if none is given."""
    access = access or Access.of(service.settings)
    app: FastAPI = FastAPIOffline(
        title="Cutwater",
        version=__version__,
        description="Anomaly scores of a live stream. Names are those of the indexed documents.",
        docs_url=None,  # its own page would need scripts inside of the page
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call it
        dependencies=[Depends(_refuse_unknown)],
        responses={422: {"model": models.Error, "description": "A parameter is unknown, or has no such value."}},
    )
    app.mount("/page", StaticFiles(directory=str(PAGE)), name="page")
    app.add_exception_handler(RequestValidationError, responses.explain_rejection)
    app.add_exception_handler(AnyHTTPException, responses.explain_http)
    app.add_exception_handler(IndexUnavailableError, responses.explain_absence)
    app.add_exception_handler(StateError, responses.explain_absence)
    app.add_exception_handler(Exception, responses.explain_fault)
    writer = responses.ResponseWriter()
    app.include_router(scores.router(service, writer))
    app.include_router(events.router(service, writer))
    app.include_router(operations.router(service, writer))
    app.include_router(feedback.router(service, writer))

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(str(PAGE / "index.html"))

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(str(PAGE / "docs.html"))

    # Made now, not at the first request: requests come in threads, and FastAPI's generator knows no lock.
    description = describe(app.openapi(), service.settings, scores.columns_of(service.settings))
    app.openapi = lambda: description  # type: ignore[method-assign]
    # Around everything, also the answer to a fault of ours.
    within = app.build_middleware_stack
    app.build_middleware_stack = lambda: Guard(within(), access, service.settings.root_path)  # type: ignore[method-assign]
    return app


def _refuse_unknown(request: Request) -> None:
    """Raises HTTPException (422) for a query parameter that the route does not know, or that is given twice."""
    path, method = request.scope["route"].path, request.method.lower()
    operation = request.app.openapi()["paths"].get(path, {}).get(method)
    if operation is None:  # the page, which reads its own
        return
    known = {each["name"]: each["schema"] for each in operation.get("parameters", []) if each["in"] == "query"}
    for name in request.query_params:
        if name not in known and not (name.startswith("label.") and "label" in known):
            raise HTTPException(422, unknown(name, list(known), f"{path} takes"))
        times = len(request.query_params.getlist(name))
        if times > 1 and known.get(name, {}).get("type") != "array":
            raise HTTPException(422, f"{name}: given {times} times")
