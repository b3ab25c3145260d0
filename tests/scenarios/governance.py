"""How a network governs itself: two rosters with one number, and how they are healed."""

import json

import nacl.signing

import harness
from harness import check, equal, notes, wait_until
from harness.node import Network, course
from harness.runbook import Desk, blocks, write_identity
from harness.traffic import steal, wait_links

SMALL = ["rug.nl", "ugent.be", "ut.ee"]


def write(node, event):
    """The path of a file with an event."""
    path = node.folder / "event.json"
    path.write_text(json.dumps(event))
    return path


def roster_of(node):
    return node.ask("/v1/status")["roster"]


def next_roster(network, entries, signers, before=None, **options):
    """The roster after the newest one of this network, or after `before`."""
    before = before or network.rosters[-1]
    number = int(before.split("\nnumber ")[1].split("\n")[0]) + 1
    text = notes.roster_text(entries, number=number, previous=before, origin=network.rosters[0], **options)
    return notes.signed(text, *[(member.handle, member.identity) for member in signers])


def digest_of(note):
    return notes.note_digest(note).hex()


def test_two_rosters():
    """Two rosters with one number show at every node, with both files, until the operator of each says which counts"""
    network = Network(SMALL).start()
    rug, ghent, tartu = network.nodes
    members = [network.members[handle] for handle in SMALL]
    newcomers = [notes.RosterEntry(handle, nacl.signing.SigningKey.generate()) for handle in ("uu.se", "unibe.ch")]
    one, two = (notes.signed(next_roster(network, [m.entry for m in members] + [new], ()).rstrip("\n") + "\n",
                             *[(m.handle, m.identity) for m in members[:2]], (new.handle, new.identity))
                for new in newcomers)
    tartu.stop()
    equal(rug.import_note(one).status, 201, "one of them at two nodes")
    wait_until(lambda: roster_of(ghent)["number"] == 2, "it is at the second")
    rug.stop()
    ghent.stop()
    tartu.start()
    equal(tartu.import_note(two).status, 201, "the other at the third")
    rug.start()
    ghent.start()
    for node in network.nodes:
        wait_until(lambda: roster_of(node)["disputed"] == 1, f"{node.member.handle} raises the alarm")
        wait_until(lambda: node.metric("enlight_rosters_disputed") == 1, "the metric")
        rows = {row["digest"]: row["state"] for row in node.ask("/v1/rosters")["rosters"]}
        mine, other = (two, one) if node is tartu else (one, two)
        equal(rows, {network.anchor: "followed", digest_of(mine): "in force", digest_of(other): "rival"}, "rosters held")
        for note in (one, two):
            equal(node.enlight("roster", "export", digest_of(note)[:12]).stdout, note, "a roster's file")
        check("two rosters have one number" in node.log.read_text(), "the log says so")
    check("competes" in rug.enlight("status").stdout.replace("compete ", "competes "), "enlight status says so")
    found = json.loads(rug.enlight("--json", "doctor", expect=None).stdout)
    equal([row["verdict"] for row in found if row["check"] == "dispute"], ["FAIL"], "what enlight doctor finds")

    rug.stop()
    rug.start()
    equal(roster_of(rug)["disputed"], 1, "the dispute after a restart")
    rug.enlight("roster", "pin", "0" * 12, expect=65)
    rug.enlight("roster", "pin", digest_of(two)[:12], "--reason", "agreed by telephone")
    acts = [[row.get(key) for key in ("act", "object", "result", "reason")]
            for row in json.loads(rug.enlight("audit", "--json").stdout) if row["act"].startswith("roster")]
    equal(acts, [["roster.import", "2", "done", None], ["roster.pin", digest_of(two), "done", "agreed by telephone"]], "the trail")
    for _ in range(2):
        equal([roster_of(rug)[key] for key in ("digest", "disputed")], [digest_of(two), 0], "what counts now")
        rug.stop()
        rug.start()
    equal([roster_of(ghent)[key] for key in ("digest", "disputed")], [digest_of(one), 1], "what counts elsewhere")
    compare, choose = blocks("Two rosters with one number")
    for node in (ghent, tartu):
        desk = Desk(harness.folder("desk"), node)
        said = desk.follow(compare, DIGEST=digest_of(one), OTHER=digest_of(two))
        check("uu.se leaves" in said and "unibe.ch joins" in said, "in what they differ", said)
        desk.follow(choose, DIGEST=digest_of(two))
        equal(roster_of(node)["disputed"], 0, "disputes after the runbook")
    three = next_roster(network, [m.entry for m in members] + newcomers[1:], members[:2], before=two, quorum=4)
    three = three + notes.signature_line(three.split("\n\n")[0] + "\n", "unibe.ch", newcomers[1].identity)
    equal(ghent.import_note(three).status, 201, "the roster after it")
    for node in network.nodes:
        wait_until(lambda: roster_of(node)["number"] == 3, f"it is at {node.member.handle}")
    ghent.publish(course("ugent.be"))
    rug.wait_for("ugent.be", "network", 1)


def test_two_cards():
    """A second card of a member with one number is refused, and the node that it came to says that an identity key signs twice"""
    network = Network(SMALL).start()
    rug, ghent, tartu = network.nodes
    equal(rug.import_note(tartu.member.card(number=2)).status, 201, "the next card")
    wait_until(lambda: ghent.peer("ut.ee")["card"] == 2, "it is at the others")
    equal(ghent.import_note(tartu.member.card(number=2, takes=("course.*",))).status, 422, "another one")
    row, = ghent.logged("trust", "another text with a number that is held")
    equal([row["level"], row["fields"]["member"], row["fields"]["number"]], ["error", "ut.ee", "2"], "the log")
    equal([node.metric("enlight_second_cards_total") for node in network.nodes], [0, 1, 0], "the metric")
    check("1 cards came with the number of another one" in ghent.enlight("status").stdout, "enlight status")
    found = json.loads(ghent.enlight("--json", "doctor", expect=None).stdout)
    equal([row["verdict"] for row in found if row["check"] == "cards"], ["ok", "warn"], "enlight doctor")
    equal(rug.import_note(tartu.member.card(number=3)).status, 201, "the card after them")
    wait_until(lambda: ghent.peer("ut.ee")["card"] == 3, "it is in force everywhere")


def test_stolen_identity():
    """What a thief of an identity key published is gone, and the member is back with its own keys, when a quorum has replaced the key"""
    network = Network(SMALL).start()
    rug, ghent, tartu = network.nodes
    write_identity(ghent.member)
    events = [course("ugent.be") for _ in range(2)]
    ghent.publish(events[0])
    for node in (rug, tartu):
        node.wait_for("ugent.be", "network", 1)

    thief = steal(network, "ugent.be")
    (thief.folder / "keys/node-1.key").unlink()
    thief.enlight("keys", "new", thief.folder)
    thief.enlight("card", "new", "--identity", ghent.folder / "identity.key", "--revoke", "1", thief.folder)
    rug.enlight("card", "import", thief.folder / "cards/ugent.be.card")
    thief.launch()
    wait_until(thief.ready, "the thief's node")
    stolen = course("ugent.be")
    wait_until(lambda: thief.post(stolen).status in (200, 201), "the thief publishes")
    for node in (rug, tartu):
        wait_until(lambda: stolen["id"] in [event["id"] for event in node.events()], f"{node.member.handle} believes it")

    members = network.members
    renewed = notes.RosterEntry("ugent.be", nacl.signing.SigningKey.generate())
    entries = [renewed if member is ghent.member else member.entry for member in members.values()]
    two = next_roster(network, entries, [rug.member, tartu.member])
    two += notes.signature_line(two.split("\n\n")[0] + "\n", "ugent.be", renewed.identity)
    equal(rug.import_note(two).status, 201, "a roster with another identity key")
    ghent.member.identity = renewed.identity
    write_identity(ghent.member)
    agreed, card = ghent.folder / "agreed.note", ghent.folder / "cards/ugent.be.card"
    agreed.write_text(two)
    ghent.enlight("roster", "import", agreed)
    ghent.enlight("roster", "adopt", agreed, ghent.folder)
    ghent.enlight("card", "new", ghent.folder)
    for node in (ghent, rug):
        node.enlight("card", "import", card)
    wait_links(network, "ugent.be", "live")
    ghent.publish(events[1])
    for node in (rug, tartu):
        wait_until(lambda: [event["id"] for event in node.events(source="ugent.be")] == [event["id"] for event in events],
                   f"{node.member.handle} has what ugent.be published")
        check(node.metric("enlight_events_disowned_total") > 0, "an alarm tells of what the thief published")

    ghent.enlight("keys", "new", "--number", "1", ghent.folder, expect=64)
    ghent.enlight("keys", "new", "--number", "3", ghent.folder)  # the thief has used the second one
    ghent.enlight("card", "new", ghent.folder)
    ghent.enlight("card", "import", card)
    ghent.stop()
    ghent.start()
    equal(ghent.ask("/v1/status")["key"]["number"], 3, "the key in use")
    wait_links(network, "ugent.be", "live")
    ghent.publish(course("ugent.be"))
    for node in (rug, tartu):
        node.wait_for("ugent.be", "network", 3)


def test_adopt_later():
    """A node whose configuration pins a later roster still knows the keys of those who left and of former identity keys"""
    network = Network(SMALL).start()
    rug, ghent, tartu = network.nodes
    tartu.publish(course("ut.ee"))
    rug.wait_for("ut.ee", "network", 1)
    members = network.members
    renewed = notes.RosterEntry("ugent.be", nacl.signing.SigningKey.generate())
    two = next_roster(network, [members["rug.nl"].entry, renewed], [members["rug.nl"], members["ut.ee"]])
    two += notes.signature_line(two.split("\n\n")[0] + "\n", "ugent.be", renewed.identity)
    equal(rug.import_note(two).status, 201, "a roster without ut.ee and with another identity key")
    rug.stop()
    (rug.folder / "two.note").write_text(two)
    rug.enlight("roster", "adopt", rug.folder / "two.note")
    for card in rug.folder.glob("cards/*"):
        card.unlink()
    before = len(rug.log.read_text())
    rug.start()
    said = rug.log.read_text()[before:]
    check("not good any more" not in said, "every stored note is good still", said)
    equal([row["state"] for row in rug.ask("/v1/rosters")["rosters"]], ["followed", "in force"], "rosters held")
    equal(rug.count(source="ut.ee"), 1, "events of the member that left")


def test_invite():
    """An invite in which anything was changed is refused, and nothing is written before its digest was compared"""
    network = Network(SMALL).start()
    inviter, folder, invite = network["rug.nl"], network.folder / "uibk.ac.at", network.folder / "enlight.invite"
    inviter.enlight("invite", "--output", invite)
    told = roster_of(inviter)["digest"]
    words = ["--invite", invite, "--member", "uibk.ac.at", "--country", "AT", "--name", "Universität", folder]
    inviter.enlight("init", *words, expect=64)
    inviter.enlight("init", "--digest", "0" * 64, *words, expect=65)
    good = invite.read_text()
    for old, wrong, said in (("roster quorum 2", "roster quorum 3", "does not verify"),
                             ("digest " + told, "digest " + "0" * 64, "not that of the roster in it"),
                             ("card takes *", "card takes course.*", "the signature of"),
                             ("enlight invite 1", "enlight invite 2", "a later format")):
        invite.write_text(good.replace(old, wrong, 1))
        done = inviter.enlight("init", "--yes", *words, expect=65)
        check(said in done.stderr, f"an invite with {wrong!r} is refused", done.stderr)
    check(not folder.exists(), "nothing is written before the digest is compared")
    invite.write_text(good)
    inviter.enlight("init", "--digest", told, *words)


def test_aliases():
    """A member's former domain means the member wherever a handle is taken: audience, source, parameters, configuration, command"""
    network = Network(SMALL).start()
    rug, ghent, tartu = network.nodes
    members = network.members
    two = notes.roster_text([m.entry for m in members.values()], number=2, previous=network.rosters[0], origin=network.rosters[0])
    two = notes.signed(two + "alias ugent.be rug-ghent.be\nalias rug.nl groningen.nl\n",
                       *[(m.handle, m.identity) for m in members.values()])
    equal(rug.import_note(two).status, 201, "a roster with aliases")
    wait_until(lambda: roster_of(ghent)["number"] == 2, "it is at the others")
    equal(rug.publish(course("groningen.nl", "rug-ghent.be"))[0]["audience"], "ugent.be", "the audience by another name")
    rug.enlight("publish", write(rug, course("groningen.nl", "ut.ee,rug-ghent.be,groningen.nl")))
    ghent.wait_for("rug.nl", "ugent.be", 1)
    ghent.wait_for("rug.nl", "ugent.be,ut.ee", 1)
    equal(ghent.count(source="groningen.nl"), 2, "events by another name of the source")
    equal(rug.count(audience="rug-ghent.be,ut.ee"), 1, "events by another name in the audience")
    rows = json.loads(rug.enlight("receipts", "--source", "groningen.nl", "--audience", "rug-ghent.be", "--json").stdout)
    equal([(row["publisher"], row["reader"]) for row in rows], [("rug.nl", "ugent.be")], "receipts by other names")
    equal(rug.post(course("rug-ghent.be", "ut.ee")).status, 403, "in another member's name")
    rug.enlight("peers", "block", "rug-ghent.be", "--reason", "test")
    equal(rug.peer("ugent.be")["state"], "blocked", "the peer that was blocked by another name")
    rug.stop()
    text = rug.configuration.read_text()
    rug.configuration.write_text(text.replace("member: rug.nl", "member: groningen.nl") + "peers: {blocked: [rug-ghent.be]}\n")
    rug.start()
    equal(rug.ask("/v1/status")["member"], "rug.nl", "who the node is")
    (rug.folder / "two.note").write_text(two)
    rug.enlight("roster", "adopt", rug.folder / "two.note")
    equal(json.loads(rug.enlight("--json", "card", "show").stdout)["member"], "rug.nl", "its own card")
    drafted = rug.enlight("roster", "next", "--remove", "rug-ghent.be", "--alias", "groningen.nl=rug.org", "two.note",
                      cwd=rug.folder).stdout
    check("ugent.be" not in drafted and "alias rug.nl rug.org" in drafted, "what the next roster says", drafted)


if __name__ == "__main__":
    harness.main()
