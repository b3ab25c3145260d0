"""The `enlight` command with two real nodes: publish at one, read at the other, look after both."""

import json
import re
import subprocess

import harness
from harness import check, equal, wait_until
from harness import notes
from harness.node import Network, course


def network():
    made = Network(["rug.nl", "ugent.be"]).start("rug.nl", "ugent.be")
    wait_until(lambda: all(peer["state"] == "live" for name in ("rug.nl", "ugent.be")
                           for peer in json.loads(made[name].enlight("peers", "--json").stdout)), "a live link")
    return made["rug.nl"], made["ugent.be"]


def test_publish_and_read():
    """What publish sends at one node, events shows at the other; again it is known; what breaks a rule is named by line"""
    rug, ugent = network()
    text = "\n".join(json.dumps(course("rug.nl")) for _ in range(30))
    check("30 published, 0 unchanged, 0 published before" in rug.enlight("publish", input=text).stderr, "first")
    check("0 published, 0 unchanged, 30 published before" in rug.enlight("publish", input=text).stderr, "again")
    page = wait_until(lambda: (lambda p: p if len(p["events"]) == 30 else None)(
        json.loads(ugent.enlight("events", "--source", "rug.nl", "--json").stdout)), "30 events at the other")
    first = page["events"][0]["cursor"]
    rest = json.loads(ugent.enlight("events", "--after", first, "--limit", "10", "--json").stdout)["events"]
    equal([event["sequence"] for event in rest], list(range(2, 12)), "a page behind a cursor")
    shown = ugent.enlight("tail", "--after", "0.0", "--limit", "30").stdout.splitlines()
    check(len(shown) == 30 and "rug.nl -> network" in shown[0] and "course/" in shown[0], "tail", shown[:1])
    wrong = course("rug.nl")
    del wrong["data"]["courseId"]
    said = rug.enlight("publish", input="\n" + json.dumps(course("rug.nl")) + "\n" + json.dumps(wrong), expect=65).stderr
    check(said.startswith("-:3: /data/courseId: "), "the line, the place and the rule", said)
    dry = rug.enlight("publish", "--dry-run", input="\n\n" + json.dumps(wrong), expect=65).stderr
    equal(dry.splitlines()[0], said.splitlines()[0], "a dry run says the same")
    equal(len(rug.events()), 30, "what the node holds")


def test_tail_and_restart():
    """tail outlives a restart of its node, says so once, and misses nothing that was published meanwhile"""
    network = Network(["rug.nl", "ugent.be"]).start("rug.nl")
    rug = network["rug.nl"]
    folder = harness.folder("tail")
    with open(folder / "out", "w") as out, open(folder / "err", "w") as err:
        tail = subprocess.Popen([str(rug.build / "node/enlight"), "--config", str(rug.configuration), "tail", "--json",
                                 "--limit", "3"], stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    harness.at_exit(tail.wait)
    harness.at_exit(tail.kill)
    wait_until(lambda: "enlight_api_streams 1" in rug.get("/metrics").body.decode(), "the stream is open")
    events = [course("rug.nl") for _ in range(3)]
    seen = lambda: [json.loads(line)["id"] for line in (folder / "out").read_text().splitlines()]
    for i, event in enumerate(events):
        rug.stop()
        wait_until(lambda: (folder / "err").read_text().count("waiting for it") == i + 1, "tail waits")
        rug.start()
        rug.publish(event)
        wait_until(lambda: seen() == [one["id"] for one in events[:i + 1]], "it has the event")
    equal(tail.wait(30), 0, "exit status")
    equal((folder / "err").read_text(), "enlight: the node went away; waiting for it\n" * 3, "what it says")


def test_look_after():
    """status, peers, channels and doctor agree with each other; blocking ends the link, unblocking brings it back"""
    rug, ugent = network()
    rug.enlight("publish", input=json.dumps(course("rug.nl")))
    said = rug.enlight("status").stdout
    check("ready\n" in said, "status", said)
    wait_until(lambda: "ugent.be 1" in rug.enlight("channels").stdout, "a receipt")
    equal(json.loads(rug.enlight("status", "--json").stdout)["links"], {"live": 1, "members": 2}, "links")
    found = {row["check"]: row for row in json.loads(rug.enlight("doctor", "--json").stdout)}
    for name in ("configuration", "roster", "cards", "own card", "node key", "forks", "socket", "ready", "links"):
        equal(found[name]["verdict"], "ok", found[name])
    equal(found["links"]["found"], "links to 1 of 1 other members are live", "links")
    rug.enlight("peers", "block", "ugent.be", "--reason", "a test")
    state = lambda: json.loads(rug.enlight("peers", "--json").stdout)[0]["state"]
    equal(state(), "blocked", "the peer's state")
    rug.enlight("peers", "unblock", "ugent.be")
    wait_until(lambda: state() == "live", "the link is back")
    said = rug.enlight("peers", "block", "nobody.example", "--reason", "a test", expect=66).stderr
    check("no member of the network" in said, "a member that there is not", said)
    said = rug.enlight("peers", "block", "rug.nl", "--reason", "a test", expect=65).stderr
    check("this node's own member" in said, "the node's own member", said)
    card = harness.folder("card") / "spoilt.card"
    card.write_text((rug.folder / "cards/ugent.be.card").read_text().replace("\nnumber 1\n", "\nnumber 7\n"))
    said = rug.enlight("card", "import", card, expect=65).stderr.splitlines()
    check(re.match(rf"{card}:\d+:1: error: the signature of ugent.be does not verify", said[0]), "a spoilt card", *said)


def test_what_the_node_learnt():
    """roster show and doctor say that the node has a newer roster than the file; a card that only the node has counts"""
    network = Network(["rug.nl", "ugent.be"])
    rug = network["rug.nl"]
    (rug.folder / "cards/rug.nl.card").unlink()
    harness.at_exit(rug.stop)
    rug.launch()
    wait_until(lambda: rug.socket.exists(), "the socket")
    found = lambda: {row["check"]: row for row in json.loads(rug.enlight("doctor", "--json", expect=None).stdout)}
    equal(found()["own card"]["verdict"], "FAIL", "no card anywhere")
    equal(rug.import_note(network.members["rug.nl"].card()).status // 100, 2, "the card by hand")
    equal((found()["own card"]["verdict"], found()["own card"]["found"]), ("ok", "the node has card 1"), "the node's card")
    check("the node has roster" not in rug.enlight("roster", "show").stderr, "nothing newer")
    entries = [member.entry for member in network.members.values()]
    entries[0].name = "Rijksuniversiteit Groningen"
    first = network.rosters[0]
    second = notes.signed(notes.roster_text(entries, number=2, previous=first, origin=first),
                          *[(name, network.members[name].identity) for name in ("rug.nl", "ugent.be")])
    equal(rug.import_note(second).status // 100, 2, "the second roster")
    newer = "the node has roster 2, this file is roster 1: enlight roster adopt ROSTER"
    equal(rug.enlight("roster", "show").stderr, f"enlight: {newer}\n", "roster show")
    equal(found()["roster"]["found"], newer, "doctor")


def test_doctor_tells_a_key_age():
    """doctor says how many days a node key has left, and what to do"""
    network = Network(["rug.nl", "ugent.be"])
    rug = network["rug.nl"]
    rug.configuration.write_text(rug.configuration.read_text().replace("  keys: keys\n", "  keys: keys\n  key_age: 30\n"))
    network.start("rug.nl")
    row = wait_until(lambda: [row for row in json.loads(rug.enlight("doctor", "--json", expect=None).stdout)
                              if row["check"] == "node key" and row["verdict"] == "warn"], "doctor warns")[0]
    equal((row["found"], row["advice"]), ("node key 1 passes its age limit in 30 days", "renew it: enlight keys new FOLDER"), "doctor")


if __name__ == "__main__":
    harness.main()
