"""The other end of `vo.load`: a program under Debian's Python that changes DaCHS' database in one transaction."""

from __future__ import annotations

import json
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import IO, Any, Self, cast

from ingest.errors import IngestError
from ops.house import Archive

__all__ = ["Loader"]


class Loader:
    """A conversation with `vo.load`, where the protocol is described. Leaving the ``with`` block without a commit rolls back.

    The program takes a second to start and does so while the caller goes on.
    """

    def __init__(self, archive: Archive) -> None:
        # A file, not a pipe: nobody reads along, and a full pipe would stop the program.
        self._noise = tempfile.TemporaryFile()  # noqa: SIM115 - closed in __exit__
        self._process: subprocess.Popen[bytes] = archive.debian_python("vo.load", stderr=self._noise)
        self._commands = cast(IO[bytes], self._process.stdin)
        self._answers = cast(IO[bytes], self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._process.poll() is None:
            try:
                self._process.communicate(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.communicate()
        self._noise.close()

    @property
    def pid(self) -> int:
        """Number of the program's process."""
        return self._process.pid

    def say(self, message: Mapping[str, Any], frames: Iterable[bytes] | None = None) -> dict[str, Any]:
        """Say something, with the content of a table if there is one, and return the answer.

        Raises
        ------
        IngestError
            The loader says what went wrong, or is gone.
        """
        try:
            self._commands.write(json.dumps(message).encode() + b"\n")
            if frames is not None:
                for frame in frames:
                    self._commands.write(struct.pack(">I", len(frame)) + frame)
                self._commands.write(struct.pack(">I", 0))
            self._commands.flush()
        except BrokenPipeError:
            pass  # the loader has said why, or died: the answer tells
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._answers.readline()
        if not line:
            self._process.communicate()
            self._noise.seek(0)
            noise = self._noise.read().decode(errors="replace").strip().splitlines()
            raise IngestError(
                f"the loader ended without an answer (status {self._process.returncode});"
                f" its last words: {' | '.join(noise[-5:]) or 'none'}"
            )
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise IngestError(f"the database refused, and is as before: {answer['error']}")
        return answer
