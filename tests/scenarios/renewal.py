"""How members renew their keys and take them back, among nine nodes that go on publishing meanwhile."""

import json

import harness
from harness import check, equal, wait_until
from harness.node import Network, course
from harness.runbook import write_identity
from harness.traffic import Traffic, check_all_hold, others, steal, wait_gone, wait_links

GHENT, AWAY = "ugent.be", "uu.se"
NINE = 9


def new_card(node, *options):
    """Makes the node's next card and gives it to the running node."""
    node.enlight("card", "new", *options, node.folder)
    card = node.folder / "cards" / f"{node.member.handle}.card"
    node.enlight("card", "import", card)
    return json.loads(node.enlight("--json", "card", "show", card).stdout)["number"]


def test_renewal():
    """A node key is renewed with one offline signature while events flow: none is lost or repeated, and the old secret can go after that"""
    network = Network(NINE).start()
    ghent = network[GHENT]
    write_identity(ghent.member)
    traffic = Traffic(ghent)
    traffic.more()
    ghent.enlight("keys", "new", ghent.folder)
    ghent.stop()
    ghent.start()
    equal(ghent.ask("/v1/status")["key"]["number"], 1, "the key in use while no card lists the new one")
    wait_links(network, GHENT, "live")
    number = new_card(ghent)
    equal(ghent.ask("/v1/status")["key"]["newer"], 2, "what the status says of the new key")
    for node in others(network, GHENT):
        wait_until(lambda: node.peer(GHENT)["card"] == number, f"{node.member.handle} has the card with both keys")
    ghent.enlight("keys", "destroy", "1", ghent.folder, expect=65)
    traffic.more()
    ghent.stop()
    ghent.start()
    key = ghent.ask("/v1/status")["key"]
    equal([key["number"], key["newer"], key["due_days"]], [2, 0, 0], "the key in use")
    wait_links(network, GHENT, "live")
    traffic.more()
    done = ghent.enlight("keys", "destroy", "1", ghent.folder, expect=65)
    check("is in use by the card" in done.stderr, "a key that is not retired stays", done.stderr)
    number = new_card(ghent, "--retire", "1")
    done = ghent.enlight("keys", "destroy", "2", ghent.folder, expect=65)
    check("the running node uses" in done.stderr, "the key in use stays", done.stderr)
    ghent.enlight("keys", "destroy", "1", ghent.folder)
    equal(sorted(path.name for path in ghent.folder.glob("keys/node-*")), ["node-2.key"], "node keys that are left")
    for node in others(network, GHENT):
        wait_until(lambda: node.peer(GHENT)["card"] == number, f"{node.member.handle} has the card without the old key")
    traffic.more()
    check_all_hold(network.nodes, traffic)


def test_key_lost():
    """A node whose key is gone gets the next number from its card, and is back when one other member has the card that retires the lost one"""
    network = Network(["rug.nl", GHENT]).start()
    ghent, other = network[GHENT], network["rug.nl"]
    write_identity(ghent.member)
    ghent.stop()
    (ghent.folder / "keys/node-1.key").unlink()
    ghent.enlight("keys", "new", ghent.folder)
    check((ghent.folder / "keys/node-2.key").exists(), "the next key")
    ghent.enlight("card", "new", "--identity", ghent.folder / "identity.key", "--retire", "1", ghent.folder)
    other.enlight("card", "import", ghent.folder / f"cards/{GHENT}.card")
    ghent.start()
    wait_links(network, GHENT, "live")


def test_same_keys():
    """Two nodes that run with the same keys show at the others"""
    network = Network(NINE).start()
    steal(network, GHENT).start()
    wait_until(lambda: any(node.metric("enlight_same_keys_total") for node in others(network, GHENT)), "somebody sees both")
    found = [node for node in others(network, GHENT) if node.metric("enlight_same_keys_total")]
    equal(found[0].peer(GHENT)["last_error"], "two nodes run with the same keys", "what enlight peers says")
    check("two nodes run with the same keys" in found[0].log.read_text(), "the log says so")


def test_revocation():
    """A key that its owner revokes opens no session any more, strands no reader that was away, and is of no use to a thief"""
    network = Network(NINE).start()
    ghent, away = network[GHENT], network[AWAY]
    thief = steal(network, GHENT)
    write_identity(ghent.member)
    traffic = Traffic(network["rug.nl"])
    ghent.publish(course(GHENT))
    away.wait_for(GHENT, "network", 1)
    away.stop()
    ghent.publish(course(GHENT))
    present = others(network, GHENT, AWAY)
    wait_links(network, GHENT, "live", present)
    ghent.enlight("keys", "new", ghent.folder)
    new_card(ghent, "--revoke", "1")
    wait_gone(network, GHENT, present)
    refused = [node.metric("enlight_link_keys_refused_total") for node in present]
    thief.launch()
    wait_until(thief.ready, "the thief's node believes its old card")
    stolen = course(GHENT)
    thief.publish(stolen)
    for node, before in zip(present, refused):
        wait_until(lambda: node.metric("enlight_link_keys_refused_total") > before, f"the old key is refused by {node.member.handle}")
    equal(thief.count(source="rug.nl"), 0, "events of others at the thief")
    thief.stop()
    ghent.stop()
    ghent.start()
    away.start()
    wait_links(network, GHENT, "live")
    ghent.publish(course(GHENT))
    for node in others(network, GHENT):
        node.wait_for(GHENT, "network", 3)
        equal(node.count(source=GHENT), 3, f"events of {GHENT} at {node.member.handle}")
        check(stolen["id"] not in [event["id"] for event in node.events()], f"the thief's event is not at {node.member.handle}")
    check_all_hold(network.nodes, traffic)


def meet_thief_first(network, thief, away):
    """The node that was away starts while nobody but the thief can be reached, and believes it."""
    for node in others(network, AWAY):
        node.pause()
    away.start()
    wait_until(lambda: (away.peer(GHENT) or {"state": ""})["state"] == "live", "the thief is believed")


def check_healed(network, ids, stolen):
    """Everybody ends with these events of Ghent's, in this order, and without the thief's."""
    for node in others(network, GHENT):
        wait_until(lambda: [event["id"] for event in node.events(source=GHENT)] == ids, f"{node.member.handle} has what {GHENT} published")
        check(node.channel(GHENT, "network")["state"] == "live", f"{GHENT}'s channel goes on at {node.member.handle}")
        check(stolen not in [event["id"] for event in node.events()], f"the thief's event is not in it at {node.member.handle}")


def thief_comes_first(away_holds_one):
    network = Network(NINE).start()
    ghent, away = network[GHENT], network[AWAY]
    thief = steal(network, GHENT)
    write_identity(ghent.member)
    events = [course(GHENT) for _ in range(3)]
    if not away_holds_one:
        away.stop()
    ghent.publish(events[0])
    for node in others(network, GHENT):
        if node.process is not None:
            node.wait_for(GHENT, "network", 1)
    if away_holds_one:
        away.stop()
    ghent.publish(events[1])
    for node in others(network, GHENT, AWAY):
        node.wait_for(GHENT, "network", 2)
    ghent.enlight("keys", "new", ghent.folder)
    new_card(ghent, "--revoke", "1")
    for node in others(network, GHENT, AWAY):
        wait_until(lambda: node.peer(GHENT)["card"] == 2, f"{node.member.handle} has the card")
    ghent.stop()
    ghent.start()
    thief.launch()
    wait_until(thief.ready, "the thief's node believes its old card")
    stolen = course(GHENT)
    thief.publish(stolen)
    meet_thief_first(network, thief, away)
    if away_holds_one:
        wait_until(lambda: away.channel(GHENT, "network")["state"] == "stopped", "it was shown two histories")
    else:
        wait_until(lambda: stolen["id"] in [event["id"] for event in away.events()], "it has the thief's event")
    for node in others(network, AWAY):
        node.resume()
    wait_links(network, GHENT, "live")
    wait_until(lambda: ghent.post(events[2]).status in (200, 201), "what it publishes while it goes back is taken after that")
    check_healed(network, [event["id"] for event in events], stolen["id"])


def test_thief_first():
    """A reader that met a thief before it knew that the key was revoked gets its owner's history and goes on with everybody"""
    thief_comes_first(False)


def test_thief_contradicts():
    """So does one that held some of it before, and stopped because of the two"""
    thief_comes_first(True)


if __name__ == "__main__":
    harness.main()
