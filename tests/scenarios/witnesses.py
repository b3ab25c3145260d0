"""A publisher shows half of a network one history and the other half another: the readers find it by what they show each other."""

import json
import shutil
import sys
import time

import harness
from harness import check, equal, wait_until
from harness.node import Network, course
from harness.runbook import Desk, blocks
from harness.traffic import Traffic, check_all_hold, others
from harness.verifiers import judge

LIAR = "ut.ee"
FOUND_S = 60  # a deadline; the report says how long it took


def live(liar, readers, lots):
    """One life of the publisher, whose state is new, while only these run: it publishes so many events in each request, which is what
    decides where batches end. Returns their ids."""
    events = [[course(LIAR) for _ in range(n)] for n in lots]
    shutil.rmtree(liar.folder / "state")
    (liar.folder / "state").mkdir(mode=0o700)
    for node in readers + [liar]:
        node.launch()
    for node in readers + [liar]:
        node.wait_ready()
    for lot in events:
        liar.publish(lot)
    for node in readers:
        node.wait_for(LIAR, "network", sum(lots))
    for node in readers + [liar]:
        node.stop()
    return [event["id"] for lot in events for event in lot]


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
    equal({(row["level"], row["fields"]["publisher"], row["fields"]["what"]) for row in node.logged("channel", "fork")},
          {("error", LIAR, "stopped, both headers are kept")}, f"the log of {who}")
    found = json.loads(node.enlight("doctor", "--json", expect=None).stdout)
    equal([row["verdict"] for row in found if row["check"] == "forks"], ["FAIL"], f"enlight doctor at {who}")


def test_two_histories():
    """Eight readers find that a publisher showed each half another history, stop its channel, prove it to anybody, and all else goes on"""
    network = Network(9)
    for node in network.nodes:
        harness.at_exit(node.stop)
    liar, readers = network[LIAR], others(network, LIAR)
    left, right = readers[:4], readers[4:]
    ids = live(liar, left, (3, 2, 4)), live(liar, right, (1, 5))

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

    digest = json.loads(left[0].enlight("roster", "show", "--json").stdout)["digest"]
    for node in readers:
        desk = Desk(harness.folder("desk"), node)
        shown = desk.follow(blocks("A fork alarm")[0], SOURCE=LIAR, AUDIENCE="network", DIGEST=digest)
        check(f"{LIAR} signed two histories of its channel for network" in shown, "what the runbook's commands print", shown)
        said = judge(node, digest, desk.folder, "fork.evidence")
        check(("proves", "fork", LIAR) in said, f"what the file of {node.member.handle} proves", said)
        one = ids[node in right][2]
        node.enlight("evidence", LIAR, one, "--output", desk.folder / "event.evidence")
        check(("proves", "published", LIAR) in judge(node, digest, desk.folder, "event.evidence"), "an event of the history it was shown")
    said = harness.run([sys.executable, harness.ROOT / "proto/verify.py", "--network", digest, "fork.evidence"], cwd=desk.folder).stdout
    check(f"{LIAR} signed two histories of its channel for network" in said, "in the other verifier's words", said)
    heals(liar, readers, set(ids[0] + ids[1]))


def heals(publisher, readers, ids):
    """It was an accident: when the publisher runs again it takes both histories back and publishes them again, and every reader has all of both."""
    began = time.monotonic()
    publisher.launch()
    publisher.wait_ready()
    for node in readers:
        who = node.member.handle
        wait_until(lambda: node.metric("enlight_channels_stopped") == 0, f"the channel goes on at {who}", FOUND_S)
        wait_until(lambda: ids <= {event["id"] for event in node.events(source=LIAR)}, f"both histories at {who}", FOUND_S)
        equal(node.channel(LIAR, "network")["incarnation"], 2, f"incarnation at {who}")
    print(f"# all have both histories {time.monotonic() - began:.2f} s after the publisher started", flush=True)


if __name__ == "__main__":
    harness.main()
