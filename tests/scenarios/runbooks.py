"""The runbooks of deploy/README.md, as they stand there: members govern their network by hand while it goes on publishing."""

import json
import shutil

import nacl.signing

import harness
from harness import check, equal, notes, wait_until
from harness.node import Network, course
from harness.runbook import Desk, blocks, write_identity
from harness.traffic import Traffic, check_all_hold, others, wait_gone, wait_links

GHENT, AWAY = "ugent.be", "uu.se"
NINE, QUORUM = 9, 5
PASSPHRASE = "dragon fruit on the third shelf\n"
VOTE = "A roster is voted on"


def carry(what, source, target):
    """A file that somebody mails or carries over."""
    shutil.copy(source.folder / what, target.folder / what)


def offline(network):
    return Desk(harness.folder("offline"), build=network.build)


def propose(network, option, chair=None):
    """One member makes the next roster; its desk."""
    desk = Desk(harness.folder("chair"), chair or network["rug.nl"])
    desk.follow([command.replace("--remove HANDLE", option) for command in blocks(VOTE)[0]])
    return desk


def vote(network, chair, voters):
    """Each of these members signs on a machine of its own."""
    for member in voters:
        desk = offline(network)
        write_identity(member, desk.folder / "identity.key")
        for name in ("roster.note", "next.note"):
            carry(name, chair, desk)
        desk.follow(blocks(VOTE)[1], MEMBER=member.handle)
        carry(f"{member.handle}.vote", desk, chair)


def enact(network, chair):
    chair.follow(blocks(VOTE)[2])
    number = notes_number(chair.folder / "agreed.note")
    for node in network.nodes:
        if node.process:
            wait_until(lambda: node.ask("/v1/status")["roster"]["number"] >= number or node.member.handle not in
                       (chair.folder / "agreed.note").read_text(), f"the roster is at {node.member.handle}")


def notes_number(path):
    return int(path.read_text().split("\nnumber ")[1].split("\n")[0])


def others_of(network, *handles):
    return [member for handle, member in network.members.items() if handle not in handles]


def test_expulsion():
    """A member that a quorum votes out loses all its sessions, nothing more is sent to it, and the others lose nothing"""
    network = Network(NINE).start()
    ghent = network[GHENT]
    traffic = [Traffic(network["rug.nl"]), Traffic(network["ut.ee"])]
    chair = propose(network, f"--remove {GHENT}")
    vote(network, chair, others_of(network, GHENT)[:QUORUM - 1])
    chair.follow(blocks(VOTE)[2][:2], expect=65)
    vote(network, chair, others_of(network, GHENT)[QUORUM - 1:QUORUM])
    enact(network, chair)
    wait_gone(network, GHENT)
    held = ghent.count()
    for each in traffic:
        each.more(10)
    equal(ghent.post(course(GHENT)).status, 201, "what it publishes is its own affair")
    equal(ghent.count(), held + 1, "events at the member that was expelled")
    for each in traffic:
        check_all_hold(others(network, GHENT), each)
    for node in others(network, GHENT):
        equal(node.count(source=GHENT), 0, f"its events at {node.member.handle}")


def test_identity_key_is_lost():
    """A lost identity key is replaced by a quorum; the new one is sealed by a passphrase, signs elsewhere, and the lost one makes no card"""
    network = Network(NINE).start()
    ghent, rug = network[GHENT], network["rug.nl"]
    traffic = Traffic(ghent)
    make, bring, sign, give = blocks("An identity key is lost or stolen")
    safe, desk = offline(network), Desk(harness.folder("ghent"), ghent)
    safe.follow(make, HANDLE=GHENT, CC="BE", NAME="'Universiteit Gent'", typed=PASSPHRASE)
    check("\nsecret " not in (safe.folder / "again/identity.key").read_text(), "the key is sealed")

    chair = Desk(harness.folder("chair"), rug)
    (chair.folder / "again").mkdir()
    carry(f"again/{GHENT}.member", safe, chair)
    chair.follow([command.replace("--remove HANDLE", f"--rekey again/{GHENT}.member") for command in blocks(VOTE)[0]])
    vote(network, chair, others_of(network, GHENT)[:QUORUM])
    for name in ("roster.note", "next.note"):
        carry(name, chair, safe)
    ceremony = [[c.replace("ceremony/", "again/") for c in block] for block in blocks("Key ceremony")]
    safe.follow(ceremony[1], HANDLE=GHENT, typed=PASSPHRASE)
    safe.follow(ceremony[1][1:], HANDLE=GHENT, typed="wrong\n", expect=65)
    carry(f"{GHENT}.vote", safe, chair)
    chair.follow(blocks(VOTE)[2])
    wait_gone(network, GHENT)

    carry("agreed.note", chair, desk)
    desk.follow(bring, HANDLE=GHENT)
    carry(f"{GHENT}.card.draft", desk, safe)
    safe.follow(sign, HANDLE=GHENT, typed=PASSPHRASE)
    for there in (desk, chair):
        carry(f"{GHENT}.card", safe, there)
        there.follow(give, HANDLE=GHENT)
    wait_links(network, GHENT, "live")
    old = notes.card(network.rosters[0], GHENT, ghent.member.identity, ghent.member.keys, endpoint=ghent.member.endpoint, number=9)
    equal(rug.import_note(old).status, 422, "a card under the lost key")
    traffic.more()
    ghent.stop()
    ghent.start()
    wait_links(network, GHENT, "live")
    traffic.more()
    check_all_hold(network.nodes, traffic)


if __name__ == "__main__":
    harness.main()
