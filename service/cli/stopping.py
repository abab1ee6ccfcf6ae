"""How a command that runs until it is told to stop is told."""

from __future__ import annotations

import asyncio
import signal


class Stop(asyncio.Event):
    """Set by SIGTERM or SIGINT. Whoever has something to finish first says so; else, and at the second signal, all ends
    at once.
    """

    graceful = False

    def listen(self) -> None:
        """Take over the signals of this process."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def handle() -> None:
            if task is not None and (self.is_set() or not self.graceful):
                task.cancel()
            self.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, handle)


def on_signals() -> Stop:
    """What SIGTERM and SIGINT of this process set from now on."""
    stop = Stop()
    stop.listen()
    return stop
