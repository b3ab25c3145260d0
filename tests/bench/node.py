#!/usr/bin/python3
"""What a node costs on this machine: start, idle memory, publishing, delivery, catching up. Not part of tests/run.

    /usr/bin/python3 tests/bench/node.py [--runs N] [--events N] [--build FOLDER]

Nodes of the plain build on loopback; prints each figure as median, minimum and maximum. Machines differ and are shared: compare
figures of one run, not of two machines."""

import argparse
import pathlib
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "scenarios"))

import harness
from harness.node import Network, course

BATCH = 500


def poll(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("bench: waited too long")
        time.sleep(0.002)


def start_ms(node):
    """From exec to the first 200 of /readyz."""
    began = time.monotonic()
    node.launch()
    poll(node.ready)
    return (time.monotonic() - began) * 1000


def bench_start(arguments):
    """A node alone, with an empty store each time."""
    for _ in range(arguments.runs):
        network = Network(["ugent.be"], build=arguments.build)
        node = network["ugent.be"]
        harness.at_exit(node.stop)
        yield "start with an empty store, ms", start_ms(node)
        yield "idle, alone, resident MiB", node.memory_kb() / 1024
        harness.undo_all()


def bench_idle(arguments):
    """Nine nodes, all linked, nothing published."""
    for _ in range(arguments.runs):
        network = Network(9, build=arguments.build).start()
        for node in network.nodes:
            poll(lambda: node.ask("/v1/status")["links"]["live"] == 8)
        yield "idle, linked to eight, resident MiB", max(node.memory_kb() for node in network.nodes) / 1024
        harness.undo_all()


def publish(node, n):
    for _ in range(n // BATCH):
        node.publish([course(node.member.handle, "network") for _ in range(BATCH)])


def bench_delivery(arguments):
    """One publishes while one reader listens and one is away; then that one comes back."""
    for _ in range(arguments.runs):
        network = Network(["rug.nl", "ugent.be", "ut.ee"], build=arguments.build).start()
        publisher, live, away = network["ugent.be"], network["rug.nl"], network["ut.ee"]
        away.stop()
        began = time.monotonic()
        publish(publisher, arguments.events)
        yield "published, events per second (JSON, one client)", arguments.events / (time.monotonic() - began)
        live.wait_for("ugent.be", "network", arguments.events)
        yield "published and durable at a reader, events per second", arguments.events / (time.monotonic() - began)
        began = time.monotonic()
        away.launch()
        poll(away.ready)
        away.wait_for("ugent.be", "network", arguments.events)
        yield "caught up, events per second (start included)", arguments.events / (time.monotonic() - began)
        yield "reader that caught up, highest resident MiB", away.memory_kb("VmHWM") / 1024
        yield "publisher, highest resident MiB", publisher.memory_kb("VmHWM") / 1024
        harness.undo_all()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--build", type=pathlib.Path, default=harness.PLAIN_BUILD)
    arguments = parser.parse_args()
    figures = {}
    for part in (bench_start, bench_idle, bench_delivery):
        print(f"bench: {part.__doc__.split('.')[0]}, {arguments.runs} runs", file=sys.stderr, flush=True)
        for name, value in part(arguments):
            figures.setdefault(name, []).append(value)
    print(f"{'figure':52} {'median':>9} {'least':>9} {'most':>9}")
    for name, values in figures.items():
        print(f"{name:52} {statistics.median(values):9.1f} {min(values):9.1f} {max(values):9.1f}")


if __name__ == "__main__":
    try:
        main()
    finally:
        harness.undo_all()
