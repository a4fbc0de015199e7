"""The collector of cycles and the switching of threads, once the gateway takes requests."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os, signal, sys
from aigateway_core.server.run import serve
from aigateway_core.settings import ServerSettings

async def app(scope, receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})

def told():
    print(gc.get_freeze_count() > 1000, gc.isenabled(), gc.get_threshold()[0] > 700, sys.getswitchinterval() < 0.002)
    os.kill(os.getpid(), signal.SIGTERM)

serve(app, ServerSettings(port=0), on_listening=told)
"""


def test_what_the_start_has_made_is_not_looked_through_again_and_no_thread_keeps_the_loop_waiting() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True"] * 4, done.stderr
