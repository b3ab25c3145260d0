"""How members agree on a roster and make their cards with the command, and what is refused on the way."""

import base64
import hashlib
import json
import stat
import types

import harness
from harness import check, equal
from harness.node import Node, course, free_port

MEMBERS = {"rug.nl": ("NL", "Rijksuniversiteit Groningen"), "ugent.be": ("BE", "Universiteit Gent"),
           "ut.ee": ("EE", "Tartu Ülikool")}
USAGE, DATA, NO_INPUT, CANNOT_CREATE = 64, 65, 66, 73


class Ceremony:
    """A folder in which the members' folders lie; every command runs in it."""

    def __init__(self):
        self.folder = harness.folder("notes")

    def enlight(self, *words, expect=0, **options):
        return harness.run([harness.BUILD / "node/enlight", *words], expect=expect, cwd=self.folder, **options)

    def refused(self, status, text, *words):
        """The command ends with this status, says this, and puts nothing on standard output."""
        done = self.enlight(*words, expect=status)
        check(text in done.stderr, f"enlight {' '.join(words)} says: {text}", done.stderr)
        equal(done.stdout, "", "standard output")

    def path(self, name):
        return self.folder / name

    def init(self, member, folder=None, *options):
        country, name = MEMBERS.get(member, ("FR", "Université"))
        self.enlight("init", "--member", member, "--country", country, "--name", name, "--endpoint",
                     f"tcp://enlight.{member}:4847", *options, folder or member)

    def sign(self, roster, member, output, *options):
        self.enlight("roster", "sign", "--identity", f"{member}/identity.key", "--output", output, *options, roster)

    def meet(self):
        """Like agree() and adopt(), with endpoints on loopback; returns the members' nodes, none of which runs yet."""
        nodes = {}
        for member in MEMBERS:
            endpoint = f"tcp://127.0.0.1:{free_port()}"
            self.init(member, None, "--listen", endpoint, "--endpoint", endpoint)
            nodes[member] = Node(types.SimpleNamespace(handle=member), self.path(member), None, harness.BUILD)
        self.agree(made=True).adopt()
        return nodes

    def agree(self, signers=("rug.nl", "ut.ee"), made=False):
        """Three members with a first roster, roster.note, signed by two."""
        for member in MEMBERS if not made else ():
            self.init(member)
        self.enlight("roster", "new", "--network", "enlight", "--output", "unsigned.note",
                     *(f"{member}/{member}.member" for member in MEMBERS))
        for member in signers:
            self.sign("unsigned.note", member, f"{member}.note")
        self.enlight("roster", "merge", "--output", "roster.note", *(f"{member}.note" for member in signers))
        return self

    def adopt(self):
        """And a card of each."""
        for member in MEMBERS:
            self.enlight("roster", "adopt", "roster.note", member)
            self.enlight("card", "new", member)
        return self

    def card(self, member):
        return f"{member}/cards/{member}.card"

    def json(self, *words):
        return json.loads(self.enlight("--json", *words).stdout)

    def edit(self, name, old, new):
        text = self.path(name).read_text()
        check(old in text, f"{name} has {old}", text)
        self.path(name).write_text(text.replace(old, new, 1))


def test_ceremony():
    """Three members agree on a roster, adopt it and make cards that verify; its digest is that of the signed bytes"""
    c = Ceremony().agree().adopt()
    text = c.path("roster.note").read_bytes()
    digest = hashlib.blake2b(text[:text.index(b"\n\n") + 1], digest_size=32).hexdigest()
    equal(c.enlight("roster", "verify", "roster.note").stdout, digest + "\n", "the digest")
    shown = c.json("roster", "show", "roster.note")
    equal([shown["digest"], shown["origin"], shown["number"], shown["quorum"], shown["signed"]],
          [digest, digest, 1, 2, 2], "the roster")
    equal({m["member"]: m["signed"] for m in shown["members"]}, {"rug.nl": "yes", "ugent.be": "no", "ut.ee": "yes"},
          "who signed")
    for member in MEMBERS:
        check(f"  anchor: {digest}\n" in c.path(f"{member}/enlight.yaml").read_text(), "the digest is pinned")
        c.enlight("check-config", f"{member}/enlight.yaml")
        c.enlight("card", "verify", "--roster", "roster.note", c.card(member))
        card = c.json("card", "show", c.card(member))
        equal([card["member"], card["number"], card["network"], card["endpoint"], card["takes"], card["signedBy"]],
              [member, 1, digest, f"tcp://enlight.{member}:4847", ["*"], [member, member + "+1"]], "the card")


def test_secrets_are_kept():
    """Secrets are readable by their owner only, and are never replaced"""
    c = Ceremony()
    c.init("ut.ee")
    secrets = ["ut.ee/identity.key", "ut.ee/keys/node-1.key", "ut.ee/keys/store.key"]
    before = [c.path(name).read_text() for name in secrets]
    for name in secrets:
        equal(stat.S_IMODE(c.path(name).stat().st_mode), 0o600, f"mode of {name}")
    equal(stat.S_IMODE(c.path("ut.ee/keys").stat().st_mode), 0o700, "mode of keys")
    c.refused(CANNOT_CREATE, "is there already; nothing was changed", "init", "--member", "ut.ee", "--country", "EE",
              "--name", "Tartu", "ut.ee")
    equal([c.path(name).read_text() for name in secrets], before, "the secrets")


def test_dry_run():
    """With --dry-run nothing is written"""
    c = Ceremony()
    c.enlight("--dry-run", "init", "--member", "ut.ee", "--country", "EE", "--name", "Tartu", "ut.ee")
    check(not c.path("ut.ee").exists(), "no folder was made")
    c.agree()
    before = {path: path.read_bytes() for path in c.folder.rglob("*") if path.is_file()}
    c.enlight("--dry-run", "roster", "adopt", "roster.note", "ut.ee")
    c.enlight("--dry-run", "keys", "new", "ut.ee")
    c.enlight("--dry-run", "roster", "sign", "--identity", "ugent.be/identity.key", "--output", "roster.note", "roster.note")
    equal({path: path.read_bytes() for path in c.folder.rglob("*") if path.is_file()}, before, "the files")


def test_options_are_checked_at_once():
    """What is wrong with the options of init is said in one go, and nothing is made"""
    c = Ceremony()
    done = c.enlight("init", "--member", "UGent", "--country", "be", "--endpoint", "enlight.ugent.be", "x", expect=USAGE)
    for option in ("--member", "--country", "--name", "--endpoint"):
        check(option in done.stderr, f"{option} is named", done.stderr)
    done = c.enlight("init", "--member", "ugent.be", "--country", "BE", "--name", "Gent", "--listen", "4847", "x",
                     expect=USAGE)
    check("tcp://" in done.stderr, "the form of --listen is named", done.stderr)
    check(not c.path("x").exists(), "no folder was made")


def test_too_few_signatures():
    """A roster that too few members signed is refused, and says how many are missing"""
    c = Ceremony().agree(signers=("ut.ee",))
    for words in (["verify", "roster.note"], ["adopt", "roster.note", "ut.ee"]):
        c.refused(DATA, "roster.note:11:1: error: signed by 1 of the 2 members of roster 1 that it takes", "roster", *words)
    check(not c.path("ut.ee/roster.note").exists(), "nothing was adopted")
    c.refused(NO_INPUT, "enlight roster adopt ROSTER ut.ee", "card", "new", "ut.ee")


def test_one_member_twice():
    """One member's two signatures are not two members'"""
    c = Ceremony().agree(signers=("ut.ee",))
    signature = c.path("roster.note").read_text().splitlines()[-1]
    with c.path("roster.note").open("a") as file:
        file.write(signature + "\n")
    c.refused(DATA, "roster.note:11:1: error: ut.ee has signed with this key already in line 10", "roster", "verify",
              "roster.note")


def test_strangers_and_spoilt_signatures():
    """A stranger cannot sign, another's key does not pass, and a changed text loses its signatures"""
    c = Ceremony().agree()
    c.init("stranger.be")
    c.refused(DATA, "stranger.be with this identity key is no member", "roster", "sign", "--identity",
              "stranger.be/identity.key", "roster.note")
    c.init("ugent.be", "thief")
    c.refused(DATA, "ugent.be with this identity key is no member", "roster", "sign", "--identity", "thief/identity.key",
              "roster.note")
    c.edit("roster.note", "Universiteit Gent", "Universität Gent")
    c.refused(DATA, "roster.note:10:1: error: the signature of rug.nl does not verify", "roster", "verify", "roster.note")
    c.refused(DATA, "roster.note:1:1: error: another text than ut.ee.note", "roster", "merge", "ut.ee.note", "roster.note")


def test_lines_of_members():
    """A bad line is named by the file it came from"""
    c = Ceremony()
    for member in MEMBERS:
        c.init(member)
    c.edit("ut.ee/ut.ee.member", " EE ", " Estonia ")
    lines = [f"{member}/{member}.member" for member in MEMBERS]
    c.refused(DATA, "ut.ee/ut.ee.member:1:14: error: a country is two capitals", "roster", "new", "--network", "enlight", *lines)
    c.refused(DATA, "rug.nl/rug.nl.member:1:1: error: rug.nl has a line in rug.nl/rug.nl.member:1 already", "roster", "new",
              "--network", "enlight", lines[0], lines[0])
    c.refused(NO_INPUT, "none.member: cannot be read", "roster", "new", "--network", "enlight", "none.member")
    c.refused(USAGE, "--network NAME is needed", "roster", "new", lines[0])


def test_next_roster():
    """A member joins, one leaves, one changes its key: a quorum of those before signs, and whoever has a new key"""
    c = Ceremony().agree().adopt()
    c.init("u-bordeaux.fr")
    c.init("ugent.be", "new-ghent")
    c.enlight("roster", "next", "--add", "u-bordeaux.fr/u-bordeaux.fr.member", "--remove", "ut.ee", "--rekey",
              "new-ghent/ugent.be.member", "--alias", "rug.nl=groningen.nl", "--output", "two.note", "roster.note")
    equal(c.enlight("roster", "diff", "roster.note", "two.note").stdout.splitlines(),
          ["ut.ee leaves (Tartu Ülikool)", "u-bordeaux.fr joins (Université, FR)", "ugent.be changes its identity key",
           "groningen.nl is an alias of rug.nl"], "the difference")
    verify = ["roster", "verify", "--previous", "roster.note", "two.note"]
    c.sign("two.note", "rug.nl", "two.note")
    c.refused(DATA, "two.note:13:1: error: signed by 1 of the 2", *verify)
    c.refused(DATA, "who leaves or changes its key gives --previous ROSTER too", "roster", "sign", "--identity",
              "ut.ee/identity.key", "two.note")
    c.sign("two.note", "ut.ee", "two.note", "--previous", "roster.note")
    c.refused(DATA, "u-bordeaux.fr has not signed with its new identity key", *verify)
    c.sign("two.note", "u-bordeaux.fr", "two.note")
    c.refused(DATA, "ugent.be has not signed with its new identity key", *verify)
    c.sign("two.note", "new-ghent", "two.note")
    c.enlight(*verify)
    shown = c.json("roster", "show", "two.note")
    equal(shown["origin"], c.json("roster", "show", "roster.note")["digest"], "the network's digest")
    equal(shown["aliases"], {"groningen.nl": "rug.nl"}, "aliases")

    c.refused(USAGE, "give the one before (--previous ROSTER)", "roster", "verify", "two.note")
    c.enlight("roster", "verify", "--anchor", shown["digest"], "two.note")
    c.refused(DATA, "has another digest than --anchor", "roster", "verify", "--anchor", "0" * 64, "two.note")
    c.enlight("roster", "adopt", "two.note", "rug.nl")
    check(shown["digest"] in c.path("rug.nl/enlight.yaml").read_text(), "the later roster is pinned")
    c.refused(USAGE, "give the one before", "roster", "adopt", "two.note", "new-ghent")
    c.enlight("roster", "adopt", "--anchor", shown["digest"], "two.note", "new-ghent")
    c.enlight("card", "new", "new-ghent")
    c.enlight("card", "verify", "--roster", "two.note", "new-ghent/cards/ugent.be.card")
    c.refused(DATA, "the signature of ugent.be does not verify", "card", "verify", "--roster", "two.note",
              c.card("ugent.be"))


def test_wrong_predecessor():
    """A roster that follows another one, or skips one, is refused"""
    c = Ceremony().agree()
    c.enlight("roster", "next", "--quorum", "3", "--output", "two.note", "roster.note")
    c.enlight("roster", "next", "--quorum", "2", "--output", "three.note", "two.note")
    for name in ("two.note", "three.note"):
        for member in MEMBERS:
            c.sign(name, member, name)
    c.enlight("roster", "verify", "--previous", "two.note", "three.note")
    c.refused(DATA, "number 3 does not follow number 1", "roster", "verify", "--previous", "roster.note", "three.note")
    c.edit("roster.note", "quorum 2", "quorum 3")
    c.refused(DATA, "its line `previous` is not the digest of roster 1", "roster", "verify", "--previous", "roster.note",
              "two.note")
    c.refused(DATA, "nothing would change", "roster", "next", "two.note")


def test_card_without_possession():
    """A card that a listed key did not sign is refused"""
    c = Ceremony().agree().adopt()
    c.enlight("keys", "new", "ut.ee")
    c.enlight("card", "new", "ut.ee")
    path = c.path(c.card("ut.ee"))
    path.write_text("".join(line for line in path.read_text().splitlines(True) if not line.startswith("— ut.ee+2 ")))
    c.refused(DATA, f"{c.card('ut.ee')}:7:1: error: not signed by node key 2: nothing shows that ut.ee holds it", "card", "verify",
              "--roster", "roster.note", c.card("ut.ee"))


def test_card_with_anothers_key():
    """A card that lists another member's key does not verify, and one signed by another member neither"""
    c = Ceremony().agree().adopt()
    key = next(line for line in c.path(c.card("rug.nl")).read_text().splitlines() if line.startswith("key 1 "))
    own = next(line for line in c.path(c.card("ut.ee")).read_text().splitlines() if line.startswith("key 1 "))
    unsigned = c.path(c.card("ut.ee")).read_text().split("\n\n")[0] + "\n"
    c.path("claim.card").write_text(unsigned.replace(own, key))
    c.enlight("card", "sign", "--identity", "ut.ee/identity.key", "--output", "claim.card", "claim.card")
    c.refused(DATA, "not signed by node key 1", "card", "verify", "--roster", "roster.note", "claim.card")
    c.refused(DATA, "is a card of ut.ee, and the key belongs to rug.nl", "card", "sign", "--identity",
              "rug.nl/identity.key", "claim.card")


def test_renewal_of_keys():
    """A second key joins the card, the first retires, and nothing is written when nothing changes"""
    c = Ceremony().agree().adopt()
    states = lambda: {key["number"]: key["state"] for key in c.json("card", "show", c.card("ut.ee"))["keys"]}
    c.enlight("card", "new", "ut.ee")
    equal(c.json("card", "show", c.card("ut.ee"))["number"], 1, "the card that says all this already")
    c.refused(USAGE, "the card needs a newer key before this one goes: enlight keys new ut.ee", "card", "new", "--retire",
              "1", "ut.ee")
    equal(c.enlight("keys", "new", "ut.ee").stdout, "ut.ee/keys/node-2.key\n", "the new file")
    c.enlight("card", "new", "ut.ee")
    equal(states(), {1: "current", 2: "current"}, "keys in the renewal")
    c.enlight("keys", "new", "ut.ee")
    c.refused(USAGE, "retire the oldest with --retire NUMBER", "card", "new", "ut.ee")
    c.enlight("card", "new", "--retire", "1", "ut.ee")
    c.path("ut.ee/keys/node-1.key").unlink()
    c.enlight("card", "new", "--revoke", "2", "ut.ee")
    equal(states(), {1: "retired", 2: "revoked", 3: "current"}, "keys after it")
    equal({row["file"]: row["state"] for row in c.json("keys", "ut.ee")},
          {"node-2.key": "revoked", "node-3.key": "current", "identity.key": "no passphrase"}, "files")
    c.path("ut.ee/keys/node-3.key").rename(c.path("lost.key"))
    c.refused(DATA, "keys/node-3.key: the card before lists another key, or the file is gone", "card", "new", "ut.ee")
    equal(c.enlight("keys", "new", "ut.ee").stdout, "ut.ee/keys/node-4.key\n", "a number is never used again")


def test_identity_key_elsewhere():
    """With the identity key on another machine the node makes a draft, which that machine signs"""
    c = Ceremony().agree()
    c.enlight("roster", "adopt", "roster.note", "ut.ee")
    c.path("ut.ee/identity.key").rename(c.path("identity.key"))
    done = c.enlight("card", "new", "ut.ee")
    check("still lacks the signature of the identity key" in done.stderr, "it says what is missing", done.stderr)
    check(not c.path(c.card("ut.ee")).exists(), "a draft is no card")
    c.refused(DATA, "not signed by the identity key of ut.ee", "card", "verify", "--roster", "roster.note",
              "ut.ee/ut.ee.card.draft")
    c.enlight("card", "sign", "--identity", "identity.key", "--output", c.card("ut.ee"), "ut.ee/ut.ee.card.draft")
    c.enlight("card", "verify", "--config", "ut.ee/enlight.yaml", c.card("ut.ee"))


def test_passphrase():
    """An identity key under a passphrase signs with it only"""
    c = Ceremony()
    c.path("passphrase").write_text("correct horse\n")
    c.path("wrong").write_text("correct house\n")
    c.init("ut.ee", None, "--passphrase-file", "passphrase")
    check("secret" not in c.path("ut.ee/identity.key").read_text(), "the secret is sealed")
    c.enlight("roster", "new", "--network", "enlight", "--output", "one.note", "ut.ee/ut.ee.member")
    sign = ["roster", "sign", "--identity", "ut.ee/identity.key"]
    c.refused(USAGE, "is under a passphrase: give --passphrase-file FILE", *sign, "one.note")
    c.refused(DATA, "the passphrase does not open this key", *sign, "--passphrase-file", "wrong", "one.note")
    c.enlight(*sign, "--passphrase-file", "/dev/stdin", "--output", "one.note", "one.note", input="correct horse\n")
    c.enlight("roster", "verify", "one.note")


def test_lines_of_the_card():
    """The endpoint and topics come from card.lines, and a fault there is named by its line"""
    c = Ceremony().agree().adopt()
    c.path("ut.ee/card.lines").write_text("# ours\n\nendpoint tcp://[2001:db8::1]:4847\ntakes course.* mobility.*\n")
    c.enlight("card", "new", "ut.ee")
    card = c.json("card", "show", c.card("ut.ee"))
    equal([card["number"], card["endpoint"], card["takes"]], [2, "tcp://[2001:db8::1]:4847", ["course.*", "mobility.*"]],
          "the second card")
    c.path("ut.ee/card.lines").write_text("# only dials out\n")
    check("only dials out" in c.enlight("card", "new", "ut.ee").stderr, "it says so")
    c.path("ut.ee/card.lines").write_text("takes *\nendpoint ut.ee\n")
    c.refused(DATA, "ut.ee/card.lines:2:1: error: an endpoint is tcp://HOST:PORT", "card", "new", "ut.ee")


def test_fingerprint():
    """The fingerprint of init, roster and keys is the one that the contract describes"""
    c = Ceremony()
    shown = json.loads(c.enlight("--json", "init", "--member", "ut.ee", "--country", "EE", "--name", "Tartu",
                                 "ut.ee").stdout)
    digest = hashlib.blake2b(b"ut.ee\n" + base64.b64decode(shown["identity"]), digest_size=32).digest()
    expected = " ".join(f"{int.from_bytes(digest[i:i + 4], 'big') % 100000:05}" for i in range(0, 32, 4))
    equal(shown["fingerprint"], expected, "of init")
    c.enlight("roster", "new", "--network", "enlight", "--output", "one.note", "ut.ee/ut.ee.member")
    equal(c.json("roster", "show", "one.note")["members"][0]["fingerprint"], expected, "of roster show")
    equal(c.json("keys", "ut.ee")[-1]["fingerprint"], expected, "of keys")


def start(*nodes):
    for node in nodes:
        harness.at_exit(node.stop)
        node.launch()
    for node in nodes:
        node.wait_ready()


def test_nodes_made_by_the_command():
    """Nodes that only the command set up meet through one that has all cards; what is new reaches all by itself"""
    c = Ceremony()
    nodes = c.meet()
    start(*nodes.values())
    ghent, groningen, tartu = nodes["ugent.be"], nodes["rug.nl"], nodes["ut.ee"]
    for other in ("rug.nl", "ut.ee"):
        c.enlight("card", "import", "--config", "ugent.be/enlight.yaml", c.card(other))
        c.enlight("card", "import", "--config", f"{other}/enlight.yaml", c.card("ugent.be"))
    done = c.enlight("card", "import", "--config", "ugent.be/enlight.yaml", c.card("ut.ee"))
    check("the node has it already" in done.stderr, "the second import says so", done.stderr)
    tartu.publish(course("ut.ee"))
    for node in (ghent, groningen):
        node.wait_for("ut.ee", "network", 1)

    c.refused(DATA, "the signature of ut.ee does not verify", "card", "import", "--config", "rug.nl/enlight.yaml",
              spoilt_card(c))
    c.enlight("keys", "new", "ut.ee")
    c.enlight("card", "new", "ut.ee")
    c.enlight("card", "import", "--config", "ut.ee/enlight.yaml", c.card("ut.ee"))
    for node in (ghent, groningen):
        harness.wait_until(lambda: node.peer("ut.ee")["card"] == 2, f"{node.member.handle} has the new card")

    c.enlight("roster", "next", "--quorum", "3", "--output", "two.note", "roster.note")
    c.sign("two.note", "rug.nl", "two.note")
    c.refused(DATA, "signed by 1 of the 2 members", "roster", "import", "--config", "rug.nl/enlight.yaml", "two.note")
    c.sign("two.note", "ugent.be", "two.note")
    c.enlight("roster", "import", "--config", "rug.nl/enlight.yaml", "two.note")
    for node in nodes.values():
        harness.wait_until(lambda: node.ask("/v1/status")["roster"]["number"] == 2, "roster 2 is everywhere")


def spoilt_card(c):
    """Tartu's card with another endpoint, the signatures as they were."""
    text = c.path(c.card("ut.ee")).read_text()
    c.path("spoilt.card").write_text(text.replace("tcp://127.0.0.1:", "tcp://127.0.0.2:").replace("number 1", "number 5"))
    return "spoilt.card"


if __name__ == "__main__":
    harness.main()
