"""A disk that is full, at a publisher and at a reader: what is refused, what is said, and that it ends when there is room."""

import re

import harness
from harness import check, equal, wait_until
from harness.node import Network, course, uuid7

SIZE_MB = 16
SETTINGS = "store: {reserve: 1MiB}\n"


def on_small_disk(node):
    """Gives the node a disk of its own for its state."""
    state = node.folder / "state"
    harness.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=700", "none", state])
    harness.at_exit(harness.run, ["umount", "--lazy", state])
    return state


def fill(state):
    """Leaves no room: whatever else is on this disk now lies there besides."""
    with open(state / "ballast", "wb") as file:
        try:
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        except OSError:
            pass


def make_room(state):
    (state / "ballast").unlink()


def metric(node):
    return float(re.search(r"^enlight_store_full (\S+)", node.get("/metrics").body.decode(), re.M).group(1))


def says(node, text):
    return node.log.read_text().count(text)


def shows_full(node):
    """Everything that shows it says the same."""
    ready, status = node.get("/readyz"), node.ask("/v1/status")
    check(ready.status == 503 and "the disk is full" in ready.errors[0][1], "/readyz", ready)
    check(not status["ready"] and "the disk is full" in status["reasons"][0], "/v1/status", status)
    equal(metric(node), 1, "the gauge")
    equal(says(node, "full, events are refused"), 1, "warnings in the log")


def shows_room(node):
    wait_until(lambda: node.get("/readyz").status == 200, "ready again")
    equal((metric(node), node.ask("/v1/status")["reasons"]), (0, []), "gauge and reasons")
    equal(says(node, "there is room again"), 1, "lines in the log")


def test_publisher():
    """A publisher whose disk is full answers 507 and says so everywhere; nothing is lost, and with room it goes on by itself"""
    network = Network(["rug.nl", "ugent.be"], settings=SETTINGS)
    rug, ugent = network["rug.nl"], network["ugent.be"]
    state = on_small_disk(rug)
    network.start()
    before = [course("rug.nl") for _ in range(20)]
    rug.publish(before)
    equal((rug.get("/readyz").status, metric(rug)), (200, 0), "with room")
    fill(state)
    refused = course("rug.nl")
    for _ in range(3):
        equal(rug.post(refused).status, 507, "publishing on a full disk")
    shows_full(rug)
    equal(rug.count(), 20, "what it holds meanwhile")
    ugent.publish(course("ugent.be"))
    make_room(state)
    shows_room(rug)
    equal(rug.publish(refused)[0]["sequence"], 21, "the sequence goes on")
    ugent.wait_for("rug.nl", "network", 21)
    rug.wait_for("ugent.be", "network", 1)
    equal([event["id"] for event in ugent.events(source="rug.nl")], [event["id"] for event in before + [refused]], "at the reader")


def test_reader():
    """A reader whose disk is full takes nothing in and says so; with room it gets all that was published meanwhile"""
    network = Network(["rug.nl", "ugent.be"], settings=SETTINGS)
    rug, ugent = network["rug.nl"], network["ugent.be"]
    state = on_small_disk(ugent)
    network.start()
    rug.publish(course("rug.nl"))
    ugent.wait_for("rug.nl", "network", 1)
    fill(state)
    events = [course("rug.nl") for _ in range(30)]
    rug.publish(events)
    wait_until(lambda: ugent.get("/readyz").status == 503, "the reader notices")
    shows_full(ugent)
    make_room(state)
    ugent.wait_for("rug.nl", "network", 31)
    shows_room(ugent)
    rug.wait_receipt("network", "ugent.be", 31)


def test_limit():
    """A store at its own limit answers 507 and says which limit; with a higher one it goes on"""
    network = Network(["rug.nl", "ugent.be"], settings="store: {disk_limit: 2MiB}\n").start("rug.nl")
    node = network["rug.nl"]
    n = 0
    while node.post([course("rug.nl") for _ in range(200)]).status != 507:
        n += 200
        check(n < 20000, "the limit is reached", n)
    check("store.disk_limit" in node.get("/readyz").errors[0][1], "the reason", node.get("/readyz"))
    equal(node.count(), n, "what it holds")
    node.stop()
    node.configuration.write_text(node.configuration.read_text().replace("2MiB", "20MiB"))
    node.start()
    equal(node.publish(course("rug.nl"))[0]["sequence"], n + 1, "the sequence goes on")
    equal(metric(node), 0, "the gauge")


def erasure(audience):
    name = uuid7()
    return {"specversion": "1.0", "id": name, "type": "eu.enlight.person.erasure.v1", "subject": f"person/{name}",
            "enlightaudience": audience, "data": {"erasureId": name, "sequences": ["1"], "reason": "request"}}


def publish_until_full(node, audience):
    """Returns how many events it has taken."""
    n = 0
    while node.post([course(node.member.handle, audience) for _ in range(200)]).status != 507:
        n += 200
        check(n < 20000, "the limit is reached", n)
    while node.post(course(node.member.handle, audience)).status != 507:
        n += 1
    return n


def changes_said(node):
    return says(node, "full, events are refused"), says(node, "there is room again")


def database(node, suffix):
    return (node.folder / "state" / f"enlight.db{suffix}").stat()


def erases(rug, ugent):
    """Two members that are full for events still publish and take in erasures, and say all the while that they are full."""
    n, m = publish_until_full(rug, "network"), publish_until_full(ugent, "network")
    for node in (rug, ugent):
        wait_until(lambda: database(node, "").st_mtime_ns > database(node, "-wal").st_mtime_ns, "the WAL is moved")
    said = [changes_said(node) for node in (rug, ugent)]
    for _ in range(5):
        equal(rug.post(erasure("ugent.be")).status, 201, "an erasure")
        equal(rug.post(course("rug.nl", "ugent.be")).status, 507, "an event")
    equal(rug.post([erasure("ugent.be"), course("rug.nl", "ugent.be")]).status, 507, "both together")
    ugent.wait_for("rug.nl", "ugent.be", 5)
    rug.wait_receipt("ugent.be", "ugent.be", 5)
    for node, own in ((rug, n), (ugent, m)):
        equal((node.get("/readyz").status, metric(node)), (503, 1), "it says that it is full")
        equal(node.count(source=node.member.handle, audience="network"), own, "what was answered is there")
        equal(says(node, "cannot move the WAL"), 0, "the WAL had room in the database")
    equal([changes_said(node) for node in (rug, ugent)], said, "nothing more in the logs")


def test_erasure_at_the_limit():
    """Nodes at their limit take no more events, but erasures, their own and each other's, from the reserve"""
    network = Network(["rug.nl", "ugent.be"], settings="store: {disk_limit: 2MiB, reserve: 1MiB}\n").start()
    erases(network["rug.nl"], network["ugent.be"])


def test_erasure_on_a_full_disk():
    """Nodes whose disk is full up to the reserve take no more events, but erasures, their own and each other's"""
    network = Network(["rug.nl", "ugent.be"], settings="store: {reserve: 4MiB}\n")
    for node in network.nodes:
        on_small_disk(node)
    network.start()
    erases(*network.nodes)


if __name__ == "__main__":
    harness.main()
