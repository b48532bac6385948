"""What the server logs: JSON, one object a line, each with the id of the request that it belongs to."""

import json
import logging.config
from typing import Any

from ...schemas.errors import redacted

_NAMES = {"levelname": "level", "name": "logger", "correlation_id": "request", "exc_info": "exception"}


def configure(level: str) -> None:
    """Send everything that is logged to standard error as JSON, in which no message can forge a line.

    Args:
        level: debug, info (a line for each request), warning or error.
    """
    json_lines = {
        "()": "pythonjsonlogger.json.JsonFormatter",
        "fmt": ["levelname", "name", "correlation_id", "message"],
        "rename_fields": _NAMES,
        "timestamp": "time",
        "json_serializer": _line,
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"request": {"()": "asgi_correlation_id.CorrelationIdFilter", "default_value": ""}},
            "formatters": {"json": json_lines},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request"]}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {
                "voxel_atlas": {"level": level.upper()},
                "uvicorn": {"level": level.upper()},
                # It warns of every client whose id is of another form; such a request gets a new one.
                "asgi_correlation_id": {"level": "ERROR"},
            },
        }
    )


def _line(record: object, **options: Any) -> str:
    return redacted(json.dumps(record, **options))
