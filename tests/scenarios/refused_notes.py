"""Rosters and cards that a node does not take in, each for one reason, and those that it does."""

import nacl.signing

import harness
from harness import check, equal, notes
from harness.node import Network, course

MEMBERS = ["rug.nl", "ugent.be", "ut.ee"]


class Case:
    """A network of three with one node that runs, and what a note for it is made of."""

    def __init__(self):
        self.network = Network(MEMBERS).start("rug.nl")
        self.node = self.network["rug.nl"]
        self.members = self.network.members
        self.first = self.network.rosters[0]
        self.newcomer = notes.RosterEntry("uu.se", nacl.signing.SigningKey.generate(), "SE")

    def key(self, handle):
        return (handle, self.members[handle].identity)

    def roster(self, *signers, entries=None, **options):
        """Roster 2: with a newcomer, unless entries are given; signed by the members named and by the newcomer."""
        entries = entries or [member.entry for member in self.members.values()] + [self.newcomer]
        options = {"number": 2, "previous": self.first, "origin": self.first, **options}
        return notes.signed(notes.roster_text(entries, **options),
                            *[signer if isinstance(signer, tuple) else self.key(signer) for signer in signers])

    @property
    def new_key(self):
        return (self.newcomer.handle, self.newcomer.identity)

    def card(self, handle, number=2, **options):
        member = self.members[handle]
        return notes.card(self.first, handle, member.identity, options.pop("keys", member.keys),
                          number=number, endpoint=member.endpoint, **options)


def bad_rosters(case):
    """(what is wrong, the roster)"""
    strange = nacl.signing.SigningKey.generate()
    both = ("rug.nl", "ugent.be")
    good = case.roster(*both, case.new_key)
    spoilt = good.replace("uu.se SE", "uu.se DK")
    return [
        ("one signature where two are needed", case.roster("rug.nl", case.new_key)),
        ("two signatures of one member", case.roster("rug.nl", "rug.nl", case.new_key)),
        ("no signature at all", case.roster().rstrip("\n") + "\n"),
        ("the newcomer has not signed", case.roster(*both)),
        ("a stranger's signature", case.roster(*both, case.new_key, ("example.org", strange))),
        ("a signature in a member's name by another key", case.roster("rug.nl", ("ugent.be", strange), case.new_key)),
        ("text that was changed after it was signed", spoilt),
        ("a predecessor that is not ours", case.roster(*both, case.new_key, previous=good)),
        ("another network", case.roster(*both, case.new_key, origin=good)),
        ("a number that leaves one out", case.roster(*both, case.new_key, number=3)),
        ("a quorum of less than half", case.roster(*both, case.new_key, quorum=2)),
        ("a member twice", case.roster(*both, case.new_key,
                                       entries=[m.entry for m in case.members.values()] + [case.newcomer] * 2)),
        ("a member's identity key for another", case.roster(
            *both, ("uu.se", case.members["ut.ee"].identity),
            entries=[m.entry for m in case.members.values()]
            + [notes.RosterEntry("uu.se", case.members["ut.ee"].identity, "SE")])),
        ("a word that must be understood", good.replace("quorum", "!colour blue\nquorum")),
        ("carriage returns", good.replace("\n", "\r\n")),
        ("no roster", "enlight roster 1\n"),
    ]


def bad_cards(case):
    """(what is wrong, the card)"""
    ghent, tartu = case.members["ugent.be"], case.members["ut.ee"]
    second = notes.NodeKeys(number=2)
    text = notes.card_text(case.first, "ugent.be", [second], number=2, endpoint=ghent.endpoint, retired=ghent.keys)
    stolen = notes.NodeKeys(number=2, secret=tartu.keys[0].secret)
    other_number_one = notes.NodeKeys(number=1)
    stranger = nacl.signing.SigningKey.generate()
    return [
        ("a key whose possession is not shown", notes.signed(text, ("ugent.be", ghent.identity))),
        ("possession shown with another key", notes.signed(text, ("ugent.be", ghent.identity), ("ugent.be+2", stranger))),
        ("no identity key's signature", notes.signed(text, ("ugent.be+2", second.sign))),
        ("another identity key", notes.signed(text, ("ugent.be", tartu.identity), ("ugent.be+2", second.sign))),
        ("another member's node key", case.card("ugent.be", keys=[stolen], retired=ghent.keys)),
        ("another key under a number that was used", case.card("ugent.be", keys=[other_number_one])),
        ("a former key that is left out", case.card("ugent.be", keys=[second])),
        ("a member that is not in the roster",
         notes.card(case.first, "uu.se", case.newcomer.identity, [second])),
        ("another network", notes.card(case.roster(), "ugent.be", ghent.identity, ghent.keys, number=2)),
        ("text that was changed after it was signed",
         case.card("ugent.be").replace(f":{ghent.port}", f":{ghent.port - 1}")),
        ("an endpoint that is none", notes.card(case.first, "ugent.be", ghent.identity, ghent.keys, number=2,
                                                endpoint="http://example.org/")),
        ("an identity key as node key", notes.signed(
            text.replace(notes.b64(second.sign_public), notes.b64(bytes(ghent.identity.verify_key))),
            ("ugent.be", ghent.identity), ("ugent.be+2", ghent.identity))),
        ("no key in use", notes.signed(notes.card_text(case.first, "ugent.be", [], number=2, retired=ghent.keys),
                                       ("ugent.be", ghent.identity))),
    ]


def check_all_refused(case, bad):
    trouble = []
    for what, note in bad:
        answer = case.node.import_note(note)
        if answer.status not in (400, 422) or not answer.errors or not all(rule for _, rule in answer.errors):
            trouble.append(f"{what}: {answer}")
    check(not trouble, f"{len(trouble)} of {len(bad)} notes were not refused with a reason", *trouble)


def test_rosters():
    """A roster that does not follow from the one in force is refused with the reason, and the one in force stays"""
    case = Case()
    check_all_refused(case, bad_rosters(case))
    equal(case.node.ask("/v1/status")["roster"]["number"], 1, "the roster in force")
    good = case.roster("rug.nl", "ugent.be", case.new_key)
    equal(case.node.import_note(good).status, 201, "a good roster")
    equal(case.node.import_note(good).status, 200, "the same again")
    equal(case.node.ask("/v1/status")["roster"]["number"], 2, "the roster in force")
    other = case.roster("rug.nl", "ugent.be", case.new_key, network="other")
    check(case.node.import_note(other).status == 422, "a second roster 2 is refused")


def test_cards():
    """A card that its member did not make, or that claims what is not its own, is refused with the reason"""
    case = Case()
    check_all_refused(case, bad_cards(case))
    equal(case.node.peer("ugent.be")["card"], 1, "the card in force")
    equal(case.node.import_note(case.card("ugent.be")).status, 201, "a good card")
    equal(case.node.peer("ugent.be")["card"], 2, "the card in force")
    retired = notes.NodeKeys(number=2)
    renewed = case.card("ugent.be", 3, keys=[retired], retired=case.members["ugent.be"].keys)
    equal(case.node.import_note(renewed).status, 201, "a card with new keys")
    back = case.card("ugent.be", 4)
    equal(case.node.import_note(back).status, 422, "a retired key that comes back")


def test_gossip():
    """A card that one member was given reaches the others, and so does a roster"""
    network = Network(MEMBERS).start()
    case = Case.__new__(Case)
    case.network, case.members, case.first = network, network.members, network.rosters[0]
    case.newcomer = notes.RosterEntry("uu.se", nacl.signing.SigningKey.generate(), "SE")
    equal(network["rug.nl"].import_note(case.card("ugent.be")).status, 201, "a card at one node")
    harness.wait_until(lambda: network["ut.ee"].peer("ugent.be")["card"] == 2, "the card is at another")
    equal(network["ut.ee"].import_note(case.roster("rug.nl", "ugent.be", case.new_key)).status, 201, "a roster at one node")
    harness.wait_until(lambda: all(node.ask("/v1/status")["roster"]["number"] == 2 for node in network.nodes),
                       "the roster is everywhere")


def test_expelled():
    """A member that a roster leaves out loses its links within seconds and gets nothing that is published afterwards"""
    network = Network(MEMBERS).start()
    case = Case.__new__(Case)
    case.network, case.members, case.first = network, network.members, network.rosters[0]
    network["rug.nl"].publish(course("rug.nl"))
    network["ut.ee"].wait_for("rug.nl", "network", 1)
    left = [member.entry for member in network.members.values() if member.handle != "ut.ee"]
    roster = case.roster("rug.nl", "ugent.be", entries=left)
    equal(network["rug.nl"].import_note(roster).status, 201, "the roster without it")
    harness.wait_until(lambda: network["ugent.be"].ask("/v1/status")["roster"]["number"] == 2, "it is at the other member")
    harness.wait_until(lambda: (network["rug.nl"].peer("ut.ee") or {"state": ""})["state"] != "live", "its link is gone")
    network["rug.nl"].publish(course("rug.nl"))
    network["ugent.be"].wait_for("rug.nl", "network", 2)
    equal(len(network["ut.ee"].events(source="rug.nl")), 1, "events at the member that was expelled")


def test_restart():
    """After a restart a node believes whom it believed before, also when identity keys were changed and members expelled"""
    case = Case()
    renewed = notes.RosterEntry("ugent.be", nacl.signing.SigningKey.generate())
    roster = case.roster("rug.nl", "ut.ee", ("ugent.be", renewed.identity), entries=[case.members["rug.nl"].entry, renewed])
    equal(case.node.import_note(roster).status, 201, "a roster with another identity key and without ut.ee")
    keys = [notes.NodeKeys(number=2)]
    card = notes.card(case.first, "ugent.be", renewed.identity, keys, retired=case.members["ugent.be"].keys)
    equal(case.node.import_note(card).status, 201, "a card 1 under the new identity key")
    case.node.stop()
    for cards in case.node.folder.glob("cards/*"):
        cards.unlink()
    before = len(case.node.log.read_text())
    case.node.start()
    said = case.node.log.read_text()[before:]
    check("not good any more" not in said, "every stored note is good still", said)
    equal(case.node.ask("/v1/status")["roster"]["number"], 2, "the roster in force")
    equal(case.node.peer("ugent.be")["key"], 2, "the key in use")


if __name__ == "__main__":
    harness.main()
