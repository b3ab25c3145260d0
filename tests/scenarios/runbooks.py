"""The runbooks of deploy/README.md, as they stand there: members govern their network by hand while it goes on publishing."""

import json
import re
import shutil
import types

import nacl.signing

import harness
from harness import check, equal, notes, wait_until
from harness.node import Network, Node, course, free_port
from harness.runbook import Desk, blocks, write_identity
from harness.traffic import Traffic, check_all_hold, others, wait_gone, wait_links
from harness.verifiers import judge

GHENT, AWAY, LEAVER, NEW = "ugent.be", "uu.se", "unibe.ch", "uibk.ac.at"
SMALL = ["rug.nl", "ugent.be", "ut.ee"]
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
    """The one member puts the roster in force; waits until it is at all members that run."""
    chair.follow(blocks(VOTE)[2])
    agreed = (chair.folder / "agreed.note").read_text()
    number = int(agreed.split("\nnumber ")[1].split("\n")[0])
    for node in network.nodes:
        if node.process and f"\nmember {node.member.handle} " in agreed:
            wait_until(lambda: node.ask("/v1/status")["roster"]["number"] >= number, f"the roster is at {node.member.handle}")


def others_of(network, *handles):
    return [member for handle, member in network.members.items() if handle not in handles]


def test_join():
    """A tenth member comes while nine publish, gets all of it from its beginning, and the others get what it publishes"""
    network = Network(NINE).start()
    traffic = Traffic(network["rug.nl"])
    traffic.more()
    invite, init, card, give, start = blocks("A member joins")
    member = Desk(harness.folder("member"), network["rug.nl"])
    new = Node(types.SimpleNamespace(handle=NEW), network.folder / NEW, None, network.build)
    harness.at_exit(new.stop)
    desk, port = Desk(harness.folder("new"), new), free_port()
    member.follow(invite)
    carry("enlight.invite", member, desk)
    desk.follow(init, HANDLE=NEW, CC="AT", NAME="Innsbruck", DIGEST=network.anchor, HOST="127.0.0.1", ADDRESS="127.0.0.1", PORT=port)
    shutil.copy(new.folder / f"{NEW}.member", member.folder)
    member.follow([command.replace("--remove HANDLE", f"--add {NEW}.member") for command in blocks(VOTE)[0]])
    vote(network, member, others_of(network)[:QUORUM])
    for name in ("roster.note", "next.note"):
        carry(name, member, desk)
    shutil.copy(new.folder / "identity.key", desk.folder)
    desk.follow(blocks(VOTE)[1], MEMBER=NEW)
    desk.follow(card, HANDLE=NEW)
    for name in (f"{NEW}.vote", f"{NEW}.card"):
        carry(name, desk, member)
    enact(network, member)
    member.follow(give, HANDLE=NEW)
    desk.follow(start[:1])
    wait_until(lambda: new.ask("/v1/status")["links"]["live"] == NINE, "it is linked with all")
    check("the node has roster 2, this file is roster 1" in desk.follow(start[1:2]), "doctor of a member whose file is of the roster before")
    said = desk.follow(start[2:])
    check("good cards of 10 of 10 members" in said and "newer" not in said, "doctor of a member that has adopted the roster", said)
    new.publish(course(NEW))
    for node in network.nodes:
        node.wait_for(NEW, "network", 1)
    network[GHENT].publish(course(GHENT, NEW))
    new.wait_for(GHENT, NEW, 1)
    traffic.more()
    check_all_hold(network.nodes + [new], traffic)


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
    safe.follow(blocks("Key ceremony")[0], typed=PASSPHRASE)
    check((safe.folder / "ceremony/ugent.be.member").exists(), "what the ceremony makes")
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


def test_node_key():
    """A node key is renewed, and later one that may be stolen is revoked, as the page says; nothing is lost while the node restarts"""
    network = Network(SMALL).start()
    ghent, traffic = network[GHENT], Traffic(network[GHENT])
    write_identity(ghent.member)
    desk = Desk(harness.folder("ghent"), ghent)
    renew, retire = blocks("A node key is renewed")
    traffic.more()
    check("newer key" not in desk.follow(renew, HANDLE=GHENT), "a note about a newer key, after the restart")
    wait_links(network, GHENT, "live")
    desk.follow(retire, HANDLE=GHENT)
    traffic.more()
    revoke, = blocks("A node key is stolen, or may be")
    desk.follow([command.replace("--revoke 1", "--revoke 2") for command in revoke], HANDLE=GHENT)
    wait_links(network, GHENT, "live")
    equal(ghent.ask("/v1/status")["key"]["number"], 3, "the key in use")
    traffic.more()
    check_all_hold(network.nodes, traffic)


def test_machine_is_lost():
    """A machine is lost with all that was on it: what other members have, the backup and the identity key make the node again, with every event"""
    network = Network(SMALL)
    ghent, other = network[GHENT], network["rug.nl"]
    safe, desk, chair = offline(network), Desk(harness.folder("ghent"), ghent), Desk(harness.folder("rug"), other)
    write_identity(ghent.member, safe.folder / "identity.key")
    network.start()
    traffic = Traffic(ghent)
    traffic.more()
    desk.follow([c.replace("sudo ", "").replace("/media/safe/", "") for c in blocks("A backup")[0]])
    traffic.more()
    sent = traffic.stop()
    other.wait_for(GHENT, "network", len(sent))
    ghent.stop()
    configuration = ghent.configuration.read_text()
    shutil.rmtree(ghent.folder)

    invite, make, put, give = blocks("Disk lost")
    chair.follow(invite)
    carry("enlight.invite", chair, desk)
    digest = re.search(r"\ndigest (\S+)", (chair.folder / "enlight.invite").read_text()).group(1)
    desk.follow(make, HANDLE=GHENT, DIGEST=digest, CC="BE", NAME="Ghent", HOST="127.0.0.1", ADDRESS="127.0.0.1", PORT=str(ghent.member.port))
    ghent.configuration.write_text(configuration)
    carry(f"{GHENT}.card.draft", desk, safe)
    safe.follow([f"enlight card sign --identity identity.key --output {GHENT}.card {GHENT}.card.draft"])
    head = (desk.folder / "enlight.backup").read_bytes().split(b"\n", 10)[:10]
    (safe.folder / "enlight.backup.head").write_bytes(b"\n".join(head) + b"\n")
    safe.follow(["enlight backup key --identity identity.key --output store.key enlight.backup.head"])
    for name in (f"{GHENT}.card", "store.key"):
        carry(name, safe, desk)
    desk.follow(put, HANDLE=GHENT)
    carry(f"{GHENT}.card", desk, chair)
    chair.follow(give, HANDLE=GHENT)
    wait_links(network, GHENT, "live")
    ghent.wait_for(GHENT, "network", len(sent))
    more = Traffic(ghent)
    more.more()
    more.stop()
    wait_until(lambda: {event["id"] for event in other.events(source=GHENT)} >= set(sent + more.sent), "all is at rug.nl")
    equal([event["id"] for event in ghent.events(source=GHENT, audience="network")], sent + more.sent, "and at home, once and in order")


def test_quorum_is_lost():
    """When too few identity keys are left, the old network takes no roster any more; a new one begins, and old evidence keeps its worth"""
    network = Network([*SMALL, AWAY]).start()
    rug = network["rug.nl"]
    event = course("rug.nl")
    rug.publish(event)
    for handle in (*SMALL[1:], AWAY):
        rug.wait_receipt("network", handle, 1)
    old = network.anchor
    lost = [network.members[handle] for handle in (SMALL[2], AWAY)]
    chair = propose(network, f"--remove {AWAY}")
    vote(network, chair, others_of(network, SMALL[2], AWAY))
    chair.follow(blocks(VOTE)[2][:2], expect=65)

    begin, sign, unite, move, start = blocks("So many identity keys are lost that no quorum can sign")
    for member in lost:
        member.identity = nacl.signing.SigningKey.generate()
    chair, desks = offline(network), [Desk(harness.folder("desk"), node) for node in network.nodes]
    for member in network.members.values():
        (chair.folder / f"{member.handle}.member").write_text(member.entry.line())
    chair.follow(begin, NAME="test-2")
    for desk in desks:
        write_identity(desk.node.member, desk.folder / "identity.key")
        carry("next.note", chair, desk)
        desk.follow(sign, MEMBER=desk.node.member.handle)
        carry(f"{desk.node.member.handle}.vote", desk, chair)
    digest = re.search(r"[0-9a-f]{64}", chair.follow(unite)).group()

    for desk in desks:
        carry("agreed.note", chair, desk)
        words = {"HANDLE": desk.node.member.handle}
        desk.follow(move, DIGEST=digest, **words)
        desk.follow([command.replace("ceremony/", "") for command in blocks("Key ceremony")[2]], typed=PASSPHRASE, **words)
        if desk is not desks[0]:
            carry(f"{desk.node.member.handle}.card", desk, desks[0])
            carry("rug.nl.card", desks[0], desk)
    for desk in desks:
        desk.follow(start[:2])
    for desk in desks:
        wait_until(lambda: desk.node.ask("/v1/status")["links"]["live"] == 3, f"{desk.node.member.handle} is linked")
        desk.follow(start[2:])
    again = rug.publish(event)[0]
    equal((again["state"], again["sequence"]), ("published", 1), "what is published again")
    network[AWAY].wait_for("rug.nl", "network", 1)
    for node in network.nodes:
        node.stop()

    archive = Node(rug.member, desks[0].folder / "old/etc", None, network.build)
    text = archive.configuration.read_text().replace(str(rug.folder / "state"), str(desks[0].folder / "old/state"))
    text = text.replace(str(rug.folder), str(archive.folder))
    archive.configuration.write_text("".join(line for line in text.splitlines(True) if not line.startswith("link:")))
    harness.at_exit(archive.stop)
    archive.start()
    archive.enlight("evidence", "rug.nl", event["id"], "--output", chair.folder / "old.evidence")
    said = judge(rug, old, chair.folder, "old.evidence")
    check(("proves", "receipt", AWAY) in said, "what an old node's file proves", said)
    judge(rug, digest, chair.folder, "old.evidence", expect=1)


def test_partner_is_away():
    """Who was away over two rosters, a revoked key of a publisher and one of its own gets everything; meanwhile nobody waited for it"""
    network = Network(NINE).start()
    ghent, rug, away, robbed = network[GHENT], network["rug.nl"], network[AWAY], network["universityofgalway.ie"]
    for member in (ghent.member, robbed.member):
        write_identity(member)
    traffic = Traffic(rug)
    ghent.publish(course(GHENT))
    for node in (away, robbed):
        rug.wait_receipt("network", node.member.handle, 1)
        node.stop()
    ghent.publish(course(GHENT, AWAY))
    ghent.publish([course(GHENT) for _ in range(3)])

    desk = Desk(harness.folder("ghent"), ghent)
    desk.follow(blocks("A node key is stolen, or may be")[0], HANDLE=GHENT)
    for option in (f"--remove {LEAVER}", "--alias ugent.be=rug-ghent.be"):
        chair = propose(network, option)
        vote(network, chair, others_of(network, AWAY, LEAVER)[:QUORUM])
        enact(network, chair)
    ghent.publish([course(GHENT) for _ in range(3)])
    traffic.more(20)
    look, revoke, give = blocks("A partner is away for long")
    rug.wait_receipt("network", GHENT, len(traffic.sent))
    said = Desk(harness.folder("rug"), rug).follow(look)
    check("wait for their readers' receipts" in said, "what its operator sees", said)
    rows = {row["reader"]: row for row in json.loads(rug.enlight("receipts", "--source", "rug.nl", "--json").stdout)}
    check(rows[AWAY]["to"] < rows[GHENT]["to"], "how far who is away is behind", rows)
    check(rug.peer(AWAY)["state"] != "live", "its state")

    Desk(harness.folder("robbed"), robbed).follow(revoke[:2], HANDLE=robbed.member.handle)
    shutil.copy(robbed.folder / f"cards/{robbed.member.handle}.card", chair.folder)
    chair.follow(give, HANDLE=robbed.member.handle)
    away.start()
    robbed.start()
    stayed = others(network, LEAVER)
    for node in stayed:
        wait_until(lambda: node.ask("/v1/status")["roster"]["number"] == 3, f"roster 3 is at {node.member.handle}")
        node.wait_for(GHENT, "network", 7)
    away.wait_for(GHENT, AWAY, 1)
    equal([node.ask("/v1/status")["key"]["number"] for node in (away, robbed)], [1, 2], "keys in use")
    equal(json.loads(away.enlight("receipts", "--source", "rug-ghent.be", "--json").stdout)[0]["publisher"], GHENT, "by an alias")
    check_all_hold(stayed, traffic)


if __name__ == "__main__":
    harness.main()
