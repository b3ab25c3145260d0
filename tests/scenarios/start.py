"""How a node starts and ends: with nothing, with what is wrong, a second time, reloaded; and what a stream shows meanwhile."""

import json
import os
import signal
import socket

import harness
from harness import check, equal, wait_until
from harness.node import Network, course


def check_config(node):
    return harness.run([node.build / "node/enlightd", "--check-config", "--config", node.configuration], expect=None)


def test_empty():
    """A node alone with an empty store is ready, can publish, and ends with 0 when it is told to"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl")
    node = network["rug.nl"]
    equal(node.get("/livez").status, 200, "/livez")
    equal(node.events(), [], "what it holds")
    equal(node.publish(course("rug.nl"))[0]["sequence"], 1, "the first event's sequence")
    node.stop()


def test_what_is_stored_stays():
    """What was published before a restart is there after it, and the sequence goes on"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl")
    node = network["rug.nl"]
    event = course("rug.nl")
    node.publish(event)
    node.stop()
    node.start()
    equal([one["id"] for one in node.events()], [event["id"]], "what it holds")
    equal(node.publish(event)[0]["state"], "again", "the same id once more")
    equal(node.publish(course("rug.nl"))[0]["sequence"], 2, "the next event's sequence")


def test_one_node_for_each_store():
    """A second node on the same store refuses to start and leaves the first alone"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl")
    node = network["rug.nl"]
    second = harness.run([node.build / "node/enlightd", "--config", node.configuration], expect=None)
    check(second.returncode not in (0, -signal.SIGSEGV), "the second ends with an error", second.returncode)
    equal(node.publish(course("rug.nl"))[0]["sequence"], 1, "the first goes on")


def test_all_mistakes_at_once():
    """A configuration with several mistakes is refused with all of them, each as file:line:column, and exit status 78"""
    network = Network(["rug.nl"])
    node = network["rug.nl"]
    equal(check_config(node).returncode, 0, "a good configuration")
    good = node.configuration.read_text()
    node.configuration.write_text(good.replace("member: rug.nl", "member: RUG").replace("  cards: cards", "  cards: nowhere")
                                  + "bogus: 1\nstore: {disk_limit: lots}\n")
    for said in (check_config(node),
                 harness.run([node.build / "node/enlightd", "--config", node.configuration], expect=None)):
        equal(said.returncode, 78, "exit status")
        lines = good.split("\n")
        expected = [(lines.index("member: rug.nl") + 1, "handle"), (lines.index("  cards: cards") + 1, "nowhere"),
                    (len(lines), "unknown"), (len(lines) + 1, "disk_limit")]
        for line, word in expected:
            check(any(text.startswith(f"{node.configuration}:{line}:") and word in text for text in said.stderr.split("\n")),
                  f"line {line} is named, with {word}", said.stderr)


def test_mistakes_of_trust():
    """A wrong anchor, a card that is none and a missing own card are found by both checks, all at once, each at its place"""
    network = Network(["rug.nl", "ut.ee"])
    node = network["rug.nl"]
    good = node.configuration.read_text()
    (node.folder / "state").rmdir()
    (node.folder / "cards/junk.card").write_text("junk\n")
    (node.folder / "cards/rug.nl.card").unlink()
    for text, expected in (
            (good, [f"{node.configuration}:6:10: error: cards: there is no card of rug.nl; make it: enlight card new",
                    f"{node.folder}/cards/junk.card:1:1: error: the first line is `enlight card 1`: "
                    "this is something else or a later format"]),
            (good.replace(network.anchor, "0" * 64) + "bogus: 1\n",
             [f"{node.configuration}:4:11: error: anchor: the digest of {node.folder}/roster.note is {network.anchor}",
              f"{node.configuration}:{good.count(chr(10)) + 1}:1: error: unknown setting"])):
        node.configuration.write_text(text)
        daemon, command = check_config(node), harness.run([node.build / "node/enlight", "check-config", node.configuration],
                                                          expect=None)
        equal((daemon.returncode, command.returncode), (78, 78), "exit statuses")
        equal(daemon.stderr.splitlines(), expected, "what enlightd --check-config says")
        equal(command.stderr, daemon.stderr, "what enlight check-config says")
    started = harness.run([node.build / "node/enlightd", "--config", node.configuration], expect=78)
    equal(started.stderr.splitlines(), expected, "what a start says")


def test_who_is_not_listed_yet():
    """Who is in no roster yet is told what its node will wait for, and waits for that when it runs"""
    network = Network(["rug.nl", "ut.ee"])
    node = network["rug.nl"]
    node.configuration.write_text(node.configuration.read_text().replace("member: rug.nl", "member: uibk.ac.at"))
    (node.folder / "state").rmdir()
    equal(check_config(node).stderr.splitlines(),
          [f"{node.configuration}:1:9: error: member: uibk.ac.at is not in roster 1: the node waits for one that lists it, which it "
           "gets from the others once it runs; or the name is wrong"], "what enlightd --check-config says")
    (node.folder / "state").mkdir(mode=0o700)
    equal(check_config(node).returncode, 0, "with a state folder it may have learnt more")
    harness.at_exit(node.stop)
    node.launch()
    wait_until(lambda: node.socket.exists(), "it runs")
    check(any("it waits for one that lists it" in rule for _, rule in node.get("/readyz").errors), "readyz", node.get("/readyz"))


def test_systemd_is_told():
    """systemd is told when the node is ready, and when it ends"""
    network = Network(["rug.nl", "ugent.be"])
    path = network.folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(path)
        harness.at_exit(os.environ.pop, "NOTIFY_SOCKET")
        network.start("rug.nl")
        check(b"READY=1" in notify.recv(4096), "READY=1 comes first")
        network["rug.nl"].stop()
        said = b""
        while b"STOPPING=1" not in said:
            said = notify.recv(4096)


def test_reload():
    """A reload takes over access rows and cards, and says of every other setting that changed, each time, that it waits for a restart"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl")
    node = network["rug.nl"]
    good = node.configuration.read_text()
    warnings = lambda: [json.loads(line)["fields"]["settings"] for line in node.log.read_text().splitlines()
                        if "after a restart" in line]

    def reload(text):
        before = node.log.read_text().count("read again")
        node.configuration.write_text(text)
        node.process.send_signal(signal.SIGHUP)
        wait_until(lambda: node.log.read_text().count("read again") > before, "it was read again")

    reload(good + "access: [{uid: 54321, read: [course.*]}]\n")
    equal(warnings(), [], "nothing else changed")
    reload(good + "store: {disk_limit: 1GiB}\npeers: {blocked: [ut.ee]}\n")
    equal(warnings(), ["store.disk_limit, peers.blocked"], "what changed")
    equal(node.ask("/v1/status")["store"]["limit_bytes"], 20 << 30, "the limit in force")
    reload(good + "store: {disk_limit: 1GiB}\n")
    equal(warnings()[1:], ["store.disk_limit"], "what still waits")
    reload(good)
    equal(warnings()[2:], [], "as it was")


def test_stream():
    """A stream shows what comes while it is open, from a cursor what came since, and of what it may not read nothing"""
    network = Network(["rug.nl", "ugent.be"]).start()
    stream = network["rug.nl"].stream()
    events = [course("ugent.be", "rug.nl", title=f"Course {i}") for i in range(20)]
    for event in events:
        network["ugent.be"].publish(event)
    seen = [stream.read() for _ in events]
    equal([one["id"] for _, one in seen], [event["id"] for event in events], "events as they come")
    again = network["rug.nl"].stream(last_id=seen[4][0])
    equal([again.read()[1]["id"] for _ in events[5:]], [event["id"] for event in events[5:]], "events since the fifth")
    check(all("data" not in one for _, one in seen), "payloads stay out unless asked for")
    full = network["rug.nl"].stream(after="0.0", data="true")
    equal(full.read()[1]["data"], events[0]["data"], "the payload")


if __name__ == "__main__":
    harness.main()
