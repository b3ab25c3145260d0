"""How members renew their keys, take them back and are shown the door, among nine nodes that go on publishing meanwhile."""

import json
import shutil
import time

import nacl.signing

import harness
from harness import check, equal, notes, wait_until
from harness.node import Network, Node, course
from harness.traffic import Traffic, check_all_hold, others

GHENT, AWAY = "ugent.be", "uu.se"
NINE = 9


def write_identity(member):
    """The member's identity key as the command reads it, beside its node; in life it is offline."""
    path = member.node.folder / "identity.key"
    path.write_text(f"enlight identity 1\nmember {member.handle}\npublic {notes.b64(bytes(member.identity.verify_key))}\n"
                    f"secret {notes.b64(bytes(member.identity))}\n")
    path.chmod(0o600)


def new_card(node, *options):
    """Makes the node's next card and gives it to the running node."""
    node.enlight("card", "new", *options, node.folder)
    card = node.folder / "cards" / f"{node.member.handle}.card"
    node.enlight("card", "import", card)
    return json.loads(node.enlight("--json", "card", "show", card).stdout)["number"]


def wait_links(network, handle, state, nodes=None):
    """Waits until the member has this state at the others, and says in the report how long it took."""
    began = time.monotonic()
    for node in nodes or others(network, handle):
        wait_until(lambda: (node.peer(handle) or {"state": ""})["state"] == state, f"{handle} is {state} at {node.member.handle}")
    return time.monotonic() - began


def wait_gone(network, handle, nodes=None):
    began = time.monotonic()
    for node in nodes or others(network, handle):
        wait_until(lambda: (node.peer(handle) or {"state": ""})["state"] != "live", f"{handle} has no session with {node.member.handle}")
    print(f"# all sessions of {handle} gone after {time.monotonic() - began:.2f} s", flush=True)


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


def steal(network, handle):
    """A second node of a member, with a copy of its keys; it only dials. It does not run yet."""
    victim = network[handle]
    folder = network.folder / "thief"
    shutil.copytree(victim.folder, folder, ignore=shutil.ignore_patterns("state", "api.sock", "log"))
    (folder / "state").mkdir(mode=0o700)
    thief = Node(victim.member, folder, None, network.build)
    text = victim.configuration.read_text().replace(str(victim.folder), str(folder))
    thief.configuration.write_text("".join(line for line in text.splitlines(True) if not line.startswith("link:")))
    harness.at_exit(thief.stop)
    return thief


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
    ghent.stop()
    ghent.start()
    away.start()
    wait_links(network, GHENT, "live")
    ghent.publish(course(GHENT))
    for node in others(network, GHENT):
        node.wait_for(GHENT, "network", 3)
        equal(node.count(source=GHENT), 3, f"events of {GHENT} at {node.member.handle}")
        check(stolen["id"] not in [event["id"] for event in node.events()], f"the thief's event is not at {node.member.handle}")
    equal(thief.count(source="rug.nl"), 0, "events of others at the thief")
    check_all_hold(network.nodes, traffic)


def test_expulsion():
    """A member that the roster leaves out loses all its sessions, and nothing more is sent to it"""
    network = Network(NINE).start()
    ghent, rug = network[GHENT], network["rug.nl"]
    traffic = Traffic(rug)
    traffic.more()
    members = list(network.members.values())
    left = [member for member in members if member.handle != GHENT]
    roster = notes.signed(notes.roster_text([m.entry for m in left], number=2, previous=network.rosters[0], origin=network.rosters[0]),
                          *[(m.handle, m.identity) for m in left[:5]])
    equal(rug.import_note(roster).status, 201, "the roster without it")
    wait_gone(network, GHENT)
    for node in others(network, GHENT):
        wait_until(lambda: node.ask("/v1/status")["roster"]["number"] == 2, f"the roster is at {node.member.handle}")
    held = ghent.count(source="rug.nl")
    traffic.more(10)
    equal(ghent.count(source="rug.nl"), held, "events at the member that was expelled")
    equal(ghent.post(course(GHENT)).status, 201, "what it publishes is its own affair")
    sent = traffic.stop()
    for node in others(network, GHENT):
        node.wait_for("rug.nl", "network", len(sent))
        equal(node.count(source=GHENT), 0, f"its events at {node.member.handle}")


def test_lost_identity():
    """A lost identity key is replaced by a quorum: the member goes on with a card under the new one, and the old one makes no card any more"""
    network = Network(NINE).start()
    ghent, rug = network[GHENT], network["rug.nl"]
    traffic = Traffic(ghent)
    traffic.more()
    member = ghent.member
    lost, member.identity = member.identity, nacl.signing.SigningKey.generate()
    members = list(network.members.values())
    roster = notes.signed(notes.roster_text([m.entry for m in members], number=2, previous=network.rosters[0], origin=network.rosters[0]),
                          *[(m.handle, m.identity) for m in [m for m in members if m is not member][:5] + [member]])
    equal(rug.import_note(roster).status, 201, "the roster with the new key")
    wait_gone(network, GHENT)
    for node in (ghent, rug):  # it has no session by which a card could travel
        node.import_note(roster)
        equal(node.import_note(member.card(number=2)).status, 201, f"a card under it, at {node.member.handle}")
    wait_links(network, GHENT, "live")
    old = notes.card(network.rosters[0], GHENT, lost, member.keys, endpoint=member.endpoint, number=9)
    equal(rug.import_note(old).status, 422, "a card under the lost key")
    traffic.more()
    check_all_hold(network.nodes, traffic)


if __name__ == "__main__":
    harness.main()
