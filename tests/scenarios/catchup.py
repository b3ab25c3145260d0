"""A node that was away catches up by itself, from where it was, and its publisher learns of it."""

import harness
from harness import equal
from harness.node import Network, course

EVENTS = 20_000
BATCH = 500


def publish_many(node, audience, n):
    """Publishes n events in large requests; returns their ids in order."""
    ids = []
    while len(ids) < n:
        events = [course(node.member.handle, audience) for _ in range(min(BATCH, n - len(ids)))]
        node.publish(events)
        ids += [event["id"] for event in events]
    return ids


def check_complete(reader, publisher, audience, ids):
    """The reader holds these events of a channel, in this order, and the publisher has its receipt for the last."""
    handle = reader.member.handle
    reader.wait_for(publisher.member.handle, audience, len(ids), 240)
    shown = reader.events(source=publisher.member.handle, audience=audience)
    equal([event["sequence"] for event in shown], list(range(1, len(ids) + 1)), f"sequences at {handle}")
    equal([event["id"] for event in shown], ids, f"events at {handle}")
    publisher.wait_receipt(audience, handle, len(ids))


@harness.limit(400)
def test_catch_up():
    """A reader that was away while thousands of events were published has them all soon after it is back, once and in order"""
    network = Network(["rug.nl", "ugent.be"]).start()
    publisher, reader = network["ugent.be"], network["rug.nl"]
    ids = publish_many(publisher, "rug.nl", 10)
    check_complete(reader, publisher, "rug.nl", ids)
    reader.stop()
    ids += publish_many(publisher, "rug.nl", EVENTS)
    to_all = publish_many(publisher, "network", 100)
    reader.start()
    check_complete(reader, publisher, "rug.nl", ids)
    check_complete(reader, publisher, "network", to_all)


@harness.limit(240)
def test_hang():
    """A reader that stands still, as a machine does whose disk hangs, holds up nobody and catches up when it goes on"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"]).start()
    publisher = network["ugent.be"]
    ids = publish_many(publisher, "network", 10)
    for reader in ("rug.nl", "ut.ee"):
        check_complete(network[reader], publisher, "network", ids)
    network["rug.nl"].pause()
    ids += publish_many(publisher, "network", 2000)
    check_complete(network["ut.ee"], publisher, "network", ids)
    network["rug.nl"].resume()
    check_complete(network["rug.nl"], publisher, "network", ids)


@harness.limit(240)
def test_newcomer():
    """A member whose node runs for the first time gets the whole history of the network"""
    network = Network(["rug.nl", "ugent.be", "ut.ee"]).start("rug.nl", "ugent.be")
    publisher = network["ugent.be"]
    ids = publish_many(publisher, "network", 1000)
    check_complete(network["rug.nl"], publisher, "network", ids)
    network.start("ut.ee")
    check_complete(network["ut.ee"], publisher, "network", ids)


@harness.limit(240)
def test_silent_member():
    """A member without an endpoint dials out, and publishes and reads like any other"""
    network = Network(["rug.nl", "ugent.be"], silent=["rug.nl"]).start()
    check_complete(network["rug.nl"], network["ugent.be"], "rug.nl", publish_many(network["ugent.be"], "rug.nl", 100))
    check_complete(network["ugent.be"], network["rug.nl"], "ugent.be", publish_many(network["rug.nl"], "ugent.be", 100))


if __name__ == "__main__":
    harness.main()
