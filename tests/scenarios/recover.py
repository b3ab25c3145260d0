"""A node that lost its disk gets back what it had published."""

import shutil

import harness
from harness import equal, wait_until
from harness.node import Network, course


def events_of(node, audience, n):
    events = [course(node.member.handle, audience) for _ in range(n)]
    node.publish(events)
    return [event["id"] for event in events]


def lose_store(node):
    for path in (node.folder / "state").glob("enlight.db*"):
        path.unlink()


@harness.limit(120)
def test_store_lost():
    """A node whose database is gone is given back by its readers what it had published, answers its ids as before, and goes on behind them"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"]).start()
    publisher, reader = network["ugent.be"], network["rug.nl"]
    events = [course("ugent.be") for _ in range(500)]
    publisher.publish(events)
    to_one = events_of(publisher, "rug.nl", 20)
    reader.wait_for("ugent.be", "network", 500)
    reader.wait_for("ugent.be", "rug.nl", 20)
    publisher.stop()
    lose_store(publisher)
    publisher.start()
    publisher.wait_for("ugent.be", "network", 500)
    publisher.wait_for("ugent.be", "rug.nl", 20)
    equal([event["id"] for event in publisher.events(source="ugent.be", audience="rug.nl")], to_one, "given back")
    again = publisher.publish(events[:10])
    equal([(e["state"], e["sequence"]) for e in again], [("again", i + 1) for i in range(10)], "published again")
    events_of(publisher, "network", 1)
    for member in ("rug.nl", "ut.ee"):
        network[member].wait_for("ugent.be", "network", 501)
        equal(network[member].metric("enlight_forks_total"), 0, "forks")


def ids_of(node, publisher):
    return {event["id"] for event in node.events(source=publisher, audience="network")}


@harness.limit(180)
def test_published_anew():
    """A node that goes on from an old copy of its disk, unknowing, while all its readers are away: when they come it goes back, publishes both histories again in a later incarnation, and nothing of either is lost"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"]).start()
    publisher, readers = network["ugent.be"], [network["rug.nl"], network["ut.ee"]]
    ids = set(events_of(publisher, "network", 20))
    for reader in readers:
        reader.wait_for("ugent.be", "network", 20)
    publisher.stop()
    shutil.copytree(publisher.folder / "state", publisher.folder / "old")
    publisher.start()
    ids |= set(events_of(publisher, "network", 10))
    for reader in readers:
        reader.wait_for("ugent.be", "network", 30)
    for node in (publisher, *readers):
        node.stop()
    shutil.rmtree(publisher.folder / "state")
    (publisher.folder / "old").rename(publisher.folder / "state")
    publisher.start()
    ids |= set(events_of(publisher, "network", 5))
    network.start("rug.nl", "ut.ee")
    for node in (publisher, *readers):
        wait_until(lambda: ids <= ids_of(node, "ugent.be"), f"all 35 at {node.member.handle}", 60)
    more = set(events_of(publisher, "network", 1))
    for reader in readers:
        wait_until(lambda: more <= ids_of(reader, "ugent.be"), "the channel goes on", 60)
        equal(reader.metric("enlight_channels_stopped"), 0, "stopped channels")
        equal(reader.channel("ugent.be", "network")["incarnation"], 2, "incarnation")
        equal(len(ids_of(reader, "ugent.be")), 36, "events")


if __name__ == "__main__":
    harness.main()
