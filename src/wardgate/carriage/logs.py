"""What the engine writes down at either end: one rotating file of names, sizes and counts."""


def log_config(*, most_bytes: int) -> dict[str, object]:
    """Return the engine's logging configuration.

    Args:
        most_bytes: Of one file; five older ones are kept.
    """
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "plain": {
                "()": "nvflare.fuel.utils.log_utils.BaseFormatter",
                "fmt": "%(asctime)s %(levelname)s %(message)s",
            }
        },
        "handlers": {
            "file": {
                "class": "logging.handlers.RotatingFileHandler",
                "level": "INFO",
                "formatter": "plain",
                "filename": "log.txt",
                "mode": "a",
                "maxBytes": most_bytes,
                "backupCount": 5,
            }
        },
        "loggers": {"root": {"level": "INFO", "handlers": ["file"]}},
    }
