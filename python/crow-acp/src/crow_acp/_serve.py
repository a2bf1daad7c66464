"""`run_agent`: an agent on the loop of the program that made it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from typing import TYPE_CHECKING

from crow_acp import _runtime

if TYPE_CHECKING:
    from crow_acp import AcpAgent


async def run(agent: AcpAgent) -> None:
    """Serves until the input ends, SIGTERM comes, or this is cancelled; then the agent is shut down."""
    loop = asyncio.get_running_loop()
    _runtime.attach(loop)
    # What plugins print must not end up in the protocol.
    printed, sys.stdout = sys.stdout, sys.stderr
    ended: asyncio.Future[None] = loop.create_future()

    def end() -> None:
        if not ended.done():
            ended.set_result(None)

    on_main = threading.current_thread() is threading.main_thread()
    if on_main:
        with contextlib.suppress(NotImplementedError, RuntimeError):
            loop.add_signal_handler(signal.SIGTERM, end)
    serving = asyncio.ensure_future(agent._serve())
    try:
        await asyncio.wait({serving, ended}, return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        else:
            await agent._shutdown()
    except asyncio.CancelledError:
        # Ctrl-C, or the program fails elsewhere: the plugins still hear that it is over.
        await asyncio.shield(asyncio.ensure_future(agent._shutdown()))
        raise
    finally:
        serving.cancel()
        if on_main:
            with contextlib.suppress(NotImplementedError, RuntimeError):
                loop.remove_signal_handler(signal.SIGTERM)
        sys.stdout = printed
        _runtime.detach()
