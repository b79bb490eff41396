"""What a flow costs that does nothing: prints the median of so many rounds, in seconds.

A process of its own, as flow runs are, with the platform's settings: `python -m benchmarks.empty_flow 10`.
"""

import statistics
import sys
import time

from prefect import flow


@flow
def empty() -> None:
    pass


def main(rounds: int) -> None:
    empty()  # the first one also opens connections
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        empty()
        taken.append(time.perf_counter() - began)
    print(statistics.median(taken))


if __name__ == "__main__":
    main(int(sys.argv[1]))
