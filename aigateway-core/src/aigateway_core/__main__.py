"""The command, and ``python -m aigateway_core``, which is the same."""

from __future__ import annotations

import gc


def main() -> None:
    """Run the command."""
    # What a start makes stays: to look for garbage among it, again and again, is a sixth of the time that it takes. A
    # command is over soon, and a server turns the collector on once it is there.
    gc.disable()
    from aigateway_core.cli import main as run

    run()


if __name__ == "__main__":
    main()
