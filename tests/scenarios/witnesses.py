"""A publisher shows half of a network one history and the other half another: the readers find it by what they show each other."""

import json
import shutil
import subprocess
import sys
import time

import harness
from harness import check, equal, wait_until
from harness.node import Network, course
from harness.traffic import Traffic, check_all_hold, others
from harness.verifiers import judge

LIAR = "ut.ee"
FOUND_S = 60  # a deadline; the report says how long it took


def publish_in_lots(node, lots):
    """Publishes so many events in each request, which is what decides where batches end."""
    for n in lots:
        node.publish([course(node.member.handle) for _ in range(n)])


def live(liar, readers, lots):
    """One life of the publisher, whose state is new, while only these run."""
    shutil.rmtree(liar.folder / "state")
    (liar.folder / "state").mkdir(mode=0o700)
    for node in readers + [liar]:
        node.launch()
    for node in readers + [liar]:
        node.wait_ready()
    publish_in_lots(liar, lots)
    for node in readers:
        node.wait_for(LIAR, "network", sum(lots))
    liar.stop()


def is_alarmed(node):
    """Everything that tells the operator of a reader tells it."""
    who = node.member.handle
    equal(node.ask("/v1/status")["channels"]["stopped"], 1, f"channels stopped at {who}")
    said = node.enlight("status").stdout
    check("1 channels are stopped" in said, f"enlight status at {who}", said)
    rows = json.loads(node.enlight("channels", "--json").stdout)
    equal([(row["publisher"], row["state"]) for row in rows if row["state"] == "stopped"], [(LIAR, "stopped")], f"enlight channels at {who}")
    equal(node.metric("enlight_channels_stopped"), 1, f"the gauge at {who}")
    check(node.metric("enlight_forks_total") >= 1, f"the counter at {who}")
    equal([(row["level"], row["fields"]["publisher"], row["fields"]["what"]) for row in node.logged("channel", "fork")],
          [("error", LIAR, "stopped, both headers are kept")], f"the log of {who}")
    found = json.loads(node.enlight("doctor", "--json", expect=None).stdout)
    equal([row["verdict"] for row in found if row["check"] == "forks"], ["FAIL"], f"enlight doctor at {who}")


def in_words(command, folder):
    return subprocess.run(command, cwd=folder, env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=True).stdout


def test_two_histories():
    """Eight readers find that a publisher showed each half another history, stop its channel, prove it to anybody, and all else goes on"""
    network = Network(9)
    for node in network.nodes:
        harness.at_exit(node.stop)
    liar, readers = network[LIAR], others(network, LIAR)
    left, right = readers[:4], readers[4:]
    for lives in ((left, (3, 2, 4)), (right, (1, 5))):
        live(liar, *lives)
        for node in lives[0]:
            node.stop()

    network.start(*[node.member.handle for node in left])
    traffic = [Traffic(left[0]), Traffic(right[0])]
    began = time.monotonic()
    network.start(*[node.member.handle for node in right])
    for node in readers:
        wait_until(lambda: node.metric("enlight_channels_stopped") == 1, f"{node.member.handle} finds it", FOUND_S)
    print(f"# all eight know {time.monotonic() - began:.2f} s after the second half started", flush=True)
    for node in readers:
        is_alarmed(node)
    for each in traffic:
        each.more(10)
    for each in traffic:
        check_all_hold(readers, each)

    folder = harness.folder("verifier")
    digest = json.loads(left[0].enlight("roster", "show", "--json").stdout)["digest"]
    for node in readers:
        name = f"{node.member.handle}.evidence"
        node.enlight("evidence", "fork", LIAR, "network", "--output", folder / name)
        said = judge(node, digest, folder, name)
        check(("proves", "fork", LIAR) in said, f"what the file of {node.member.handle} proves", said)
    for command in ([liar.build / "node/enlight", "verify"], [sys.executable, harness.ROOT / "proto/verify.py"]):
        said = in_words([*command, "--network", digest, name], folder)
        check(f"{LIAR} signed two histories of its channel for network" in said, "in words", said)


if __name__ == "__main__":
    harness.main()
