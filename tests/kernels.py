"""Every kernel compiled once, before several test processes need them at the same time: two minutes of CPU time.

python -m tests.kernels
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor

from florin_io import pgcopy
from transforms import subledger_simulate
from transforms.cards import warm as cards
from transforms.subledger import warm as subledger

_KERNELS = (subledger.warm_up, cards.warm_up, subledger_simulate.warm_up, pgcopy.warm_up)


def main() -> None:
    """Compile what is not compiled yet. Raises what a compilation raises."""
    with ProcessPoolExecutor(2) as pool:
        for compiling in [pool.submit(warm_up) for warm_up in _KERNELS]:
            compiling.result()


if __name__ == "__main__":
    main()
