"""The collector of cycles, once the gateway takes requests."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import gc, os, signal
from aigateway_core.server.run import serve
from aigateway_core.settings import ServerSettings

async def app(scope, receive, send):
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})

def told():
    print(gc.get_freeze_count() > 1000, gc.isenabled(), gc.get_threshold()[0] > 700)
    os.kill(os.getpid(), signal.SIGTERM)

serve(app, ServerSettings(port=0), on_listening=told)
"""


def test_what_the_start_has_made_is_not_looked_through_again() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["True", "True", "True"], done.stderr
