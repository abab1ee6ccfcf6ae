"""How a command that runs until it is stopped learns of it."""

from __future__ import annotations

import asyncio
import signal
from typing import ClassVar


class Stop(asyncio.Event):
    """Set by SIGTERM or SIGINT. The first signal ends a command gracefully once it has set ``graceful``; before that,
    and at the second signal, all ends at once.
    """

    graceful = False
    early: ClassVar[bool] = False  # whether SIGTERM has ended this process before there was anything to finish

    def listen(self) -> None:
        """Take over the signals of this process."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def handle(number: int) -> None:
            if task is not None and (self.is_set() or not self.graceful):
                Stop.early = number == signal.SIGTERM and not self.is_set()
                task.cancel()
            self.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, handle, number)


def on_signals() -> Stop:
    """What SIGTERM and SIGINT of this process set from now on."""
    stop = Stop()
    stop.listen()
    return stop
