"""The command `convserve`."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Sequence

from convserve.errors import (
    ConvserveError,
    DeviceNotFoundError,
    InvalidArgumentError,
    UnsupportedError,
)

from convserve_client._client import Client
from convserve_client._connect import connect, local
from convserve_client.cli.arguments import parser
from convserve_client.cli.commands import COMMANDS
from convserve_client.cli.settings import Settings, read_settings

EXIT_SERVER = 1
EXIT_INPUT = 2
EXIT_INTERRUPTED = 130  # what shells give for Ctrl-C

_INPUT_ERRORS = (InvalidArgumentError, DeviceNotFoundError, UnsupportedError)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the result is its exit code: 0, 1 for the server's errors, 2 for input."""
    options = parser().parse_args(arguments)
    try:
        with _connect(options, read_settings()) as client:
            answer = COMMANDS[options.command](client, options)
        text = json.dumps(answer.document, indent=2) if options.json else answer.text
        if sys.stdout is not None:  # None where standard output was closed at the start
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()
    except ConvserveError as error:
        told = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return _fail(told, EXIT_INPUT if isinstance(error, _INPUT_ERRORS) else EXIT_SERVER)
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        sys.stdout = None  # so that the interpreter does not flush it
        return EXIT_SERVER
    except OSError as error:  # a file that cannot be written
        return _fail(_reason(error), EXIT_INPUT)
    except KeyboardInterrupt:
        return _fail("interrupted", EXIT_INTERRUPTED)
    return 0


def _connect(options: Namespace, settings: Settings) -> Client:
    address, token = options.server or settings.server, options.token or settings.token
    if address is None:
        return local(timeout=options.timeout)
    return connect(address, token=token, timeout=options.timeout)


def _reason(error: OSError) -> str:
    what = error.strerror or str(error)
    return f"{error.filename}: cannot write it: {what}" if error.filename else what


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"convserve: error: {' '.join(message.split())}\n")
    return code
