"""The errors of tasks that are not started, with their numbers."""

from __future__ import annotations

from convserve.errors import DeadlineExceededError, OverloadedError, TooLargeError

from convserve_server.scheduling.batching import Task


def too_large(task: Task, budget_bytes: int) -> TooLargeError:
    """The error of a task that no worker has the memory for."""
    return TooLargeError(
        f"the call needs {task.working_bytes} bytes in a worker while it runs, and the workers "
        f"have {budget_bytes} in all; make the tensors smaller or split the batch",
        metadata={"planned_bytes": task.working_bytes, "budget_bytes": budget_bytes},
    )


def too_late(task: Task, waited_seconds: float, now: float) -> DeadlineExceededError:
    """The error of a task whose deadline passed before it could be started."""
    late_seconds = now - task.deadline
    return DeadlineExceededError(
        f"the call waited {waited_seconds:.3f} s for a worker, and its deadline passed "
        f"{late_seconds:.3f} s ago; allow it more time",
        metadata={
            "waited_seconds": f"{waited_seconds:.3f}",
            "late_seconds": f"{late_seconds:.3f}",
        },
    )


def overloaded(queue_length: int, queue_limit: int, retry_seconds: float) -> OverloadedError:
    """The error of a task for which the queue has no place."""
    return OverloadedError(
        f"{queue_length} calls wait for a worker, and {queue_limit} may; "
        f"retry after {retry_seconds:.1f} s",
        metadata={"queue_length": queue_length, "limit": queue_limit},
        retry_delay=retry_seconds,
    )
