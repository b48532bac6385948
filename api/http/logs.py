"""Log lines as JSON, one a line, each with the id of the request that it belongs to."""

import json
import logging
import logging.config
from datetime import UTC, datetime
from typing import Any

from . import request_id


class JsonLines(logging.Formatter):
    """What a log collector reads. A line break in a message cannot forge a line: JSON escapes it."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as one line."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request": getattr(record, "request", request_id.current.get()),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


def configure(level: str) -> None:
    """Send everything that is logged to standard error as JSON.

    Args:
        level: debug, info (a line for each request), warning or error.
    """
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonLines}},
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
            "root": {"handlers": ["stderr"], "level": "WARNING"},
            "loggers": {"voxel_atlas": {"level": level.upper()}, "uvicorn": {"level": level.upper()}},
        }
    )
