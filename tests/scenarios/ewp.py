"""`enlight-ewp`: documents of Erasmus Without Paper, our own and the official examples, on their way to another node."""

import json
import os
import re
import socket
import subprocess
import xml.parsers.expat

import harness
from harness import check, equal
from harness.node import Network

EWP = harness.BUILD / "plugins" / "ewp" / "enlight-ewp"
ENLIGHT = harness.BUILD / "node" / "enlight"
DATA = harness.ROOT / "tests" / "data" / "ewp"
COURSES, NOMINATIONS = DATA / "courses.xml", DATA / "nominations.xml"
AUDIENCE = ["--audience", "network"]
# The official examples of what is taken, and how they are converted.
OFFICIAL = {
    "ewp-specs-api-courses-response-example.xml": AUDIENCE,
    "ewp-specs-api-omobilities-endpoints-get-response-example.xml": [],
}


def convert(*words, member="uniba.sk", expect=0, **options):
    done = harness.run([EWP, "convert", "--member", member, *words], expect=expect, **options)
    check(done.returncode == 0 or done.stdout == "", "nothing is printed of a document that is refused", done.stdout)
    return done


def events(*words, **options):
    return [json.loads(line) for line in convert(*words, **options).stdout.splitlines()]


def publish(node, text):
    """Publishes at a node; returns how many events were (new, unchanged, published before)."""
    said = harness.run([ENLIGHT, "--config", node.configuration, "publish"], input=text).stderr
    counts = re.search(r"(\d+) published, (\d+) unchanged, (\d+) published before", said)
    check(counts, "the counts", said)
    return tuple(int(n) for n in counts.groups())


def fields():
    """The rows of `enlight-ewp fields`: of each kind of document, path -> (presence, what it is)."""
    kinds = []
    for line in harness.run([EWP, "fields"]).stdout.splitlines():
        row = re.match(r"^\| `(.*)` \| `(.*)` \| (.*) \| (.*) \|$", line)
        if row:
            kinds[-1][row.group(1)] = (row.group(3), row.group(4))
        elif "becomes an event" in line:
            kinds.append({})
    return kinds


def test_help():
    """The command explains itself, with an example and its exit statuses"""
    said = harness.run([EWP, "--help"]).stdout
    check("Example:\n  enlight-ewp convert" in said and "Exit status:" in said, "example and statuses", said)
    check(harness.run([EWP, "--version"]).stdout.startswith("enlight-ewp "), "its version")


def test_fields_are_those_of_the_readme():
    """The README shows the tables by which documents are read"""
    printed = harness.run([EWP, "fields"]).stdout
    readme = (harness.ROOT / "plugins/ewp/README.md").read_text()
    check(readme.endswith("\n\n" + printed), "what `enlight-ewp fields` prints ends the README", printed)


def test_usage():
    """A wrong command line is told so, with status 64"""
    for words in ([], ["nonsense"], ["convert"], ["convert", COURSES], ["convert", "--member", "uniba.sk"],
                  ["convert", "--member", "Bratislava", COURSES], ["convert", "--member", "uniba.sk", COURSES, COURSES],
                  ["convert", "--member", "uniba.sk", "--audience", "all", COURSES],
                  ["convert", "--member", "uniba.sk", COURSES], ["fields", COURSES], ["--no-such-option"]):
        done = harness.run([EWP, *words], expect=64)
        check(done.stderr != "" and done.stdout == "", f"{words}", done.stdout, done.stderr)


def test_files():
    """A file or a folder of schemas that cannot be read ends with 66, one that is too large with 65"""
    folder = harness.folder("ewp")
    for words in ([folder / "none.xml"], [folder], ["--schemas", folder, COURSES], ["--schemas", folder / "none", COURSES]):
        check(convert(*AUDIENCE, *words, expect=66).stderr != "", f"{words}")
    with open(folder / "large.xml", "wb") as file:
        file.truncate((32 << 20) + 1)
    equal(convert(folder / "large.xml", expect=65).stderr, f"{folder}/large.xml:1: more than 32 MiB\n", "a large file")


def many_courses(n):
    """A document of our course under n names."""
    text = COURSES.read_text()
    head, rest = text.split("<learningOpportunitySpecification>", 1)
    course, tail = rest.rsplit("</learningOpportunitySpecification>", 1)
    copies = [course.replace("</los-id>", f"-{i}</los-id>").replace("</loi-id>", f"-{i}</loi-id>") for i in range(n)]
    path = harness.folder("many") / "courses.xml"
    path.write_text(head + "".join(f"<learningOpportunitySpecification>{copy}</learningOpportunitySpecification>" for copy in copies)
                    + tail)
    return path


def test_output_that_cannot_be_written():
    """A full disk is told, with status 74, whether it is met at the end or while there is more to write"""
    large = many_courses(20)
    check(len(convert(*AUDIENCE, large).stdout) > 16384, "more than a buffer")
    for words in (["fields"], ["convert", "--member", "uniba.sk", NOMINATIONS], ["convert", "--member", "uniba.sk", *AUDIENCE, large]):
        with open("/dev/full", "w") as full:
            done = subprocess.run([str(EWP), *map(str, words)], stdout=full, stderr=subprocess.PIPE, text=True)
        equal((done.returncode, done.stderr.splitlines()[-1]), (74, "enlight-ewp: cannot write: No space left on device"), f"{words}")


def test_dry_run():
    """Events of good documents are good for `enlight publish`, from a file and from the standard input"""
    for path, words, n in ((COURSES, AUDIENCE, 3), (NOMINATIONS, [], 2)):
        done = convert(*words, path)
        equal(done.stderr, "", path.name)
        equal(convert(*words, "-", input=path.read_text()).stdout, done.stdout, "from the standard input")
        said = harness.run([ENLIGHT, "publish", "--dry-run"], input=done.stdout, env={}).stderr
        check(f"{n} events checked, 0 wrong" in said, path.name, said)


def test_refused():
    """What is refused and what is not carried is told by file and line, quoting nobody, and nothing is printed"""
    path = harness.folder("ewp") / "n.xml"
    text = NOMINATIONS.read_text().replace("2004-02-29", "29.2.2004").replace("<om:status>approved</om:status>", "")
    path.write_text(text.replace("<om:email>ferko", "<om:phone>+421 000</om:phone><om:email>ferko"))
    equal(convert(path, expect=65).stderr.splitlines(), [
        f"{path}:47: not carried: phone: no place in the event",
        f"{path}:11: birth-date: a date that exists: YYYY-MM-DD",
        f"{path}:38: student-mobility: status is missing"], "what is said")
    equal(convert("--audience", "network", NOMINATIONS, expect=65).stderr.splitlines(), [
        f"{NOMINATIONS}:{line}: hei-id: not the --audience; it is about a person and goes to this university alone (leave "
        "--audience out)" for line in (23, 54)], "an audience that contradicts")


SCHEMA = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:c="urn:common" elementFormDefault="qualified"
 targetNamespace="https://github.com/erasmus-without-paper/ewp-specs-api-courses/tree/stable-v1">
<xs:import namespace="urn:common" schemaLocation="http://127.0.0.1:{port}/common.xsd"/>
<xs:element name="courses-response"><xs:complexType><xs:sequence>
<xs:element name="learningOpportunitySpecification" maxOccurs="unbounded"><xs:complexType><xs:sequence>
<xs:element name="los-id" type="c:Id"/><xs:any processContents="lax" minOccurs="0" maxOccurs="unbounded"/>
</xs:sequence></xs:complexType></xs:element></xs:sequence></xs:complexType></xs:element></xs:schema>
"""
COMMON = """<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:common"><xs:simpleType name="Id">
<xs:restriction base="xs:string"><xs:pattern value="(CR|MOD)/.*"/></xs:restriction></xs:simpleType></xs:schema>
"""
CATALOG = """<catalog xmlns="urn:oasis:names:tc:entity:xmlns:xml:catalog">
<system systemId="http://127.0.0.1:{port}/common.xsd" uri="common.xsd"/></catalog>
"""


def test_nothing_is_fetched():
    """Schemas import what the catalog names; neither they nor a document make anything come over the network"""
    folder = harness.folder("ewp")
    listener = socket.create_server(("127.0.0.1", 0))
    harness.at_exit(listener.close)
    port = listener.getsockname()[1]
    (folder / "ewp-specs-api-courses-v0.7.1").mkdir()
    (folder / "ewp-specs-api-courses-v0.7.1/response.xsd").write_text(SCHEMA.format(port=port))
    (folder / "common.xsd").write_text(COMMON)
    (folder / "catalog.xml").write_text(CATALOG.format(port=port))
    os.mkfifo(folder / "fifo")  # whoever opens it waits
    document = folder / "c.xml"
    hints = (f'<courses-response xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="'
             f'urn:a http://127.0.0.1:{port}/a.xsd urn:b {folder}/fifo"')
    document.write_text(COURSES.read_text().replace("<courses-response", hints))
    said = convert(*AUDIENCE, "--schemas", folder, document, expect=65).stderr.splitlines()
    equal(said, [f"{document}:78: official schema: los-id: not of the form that its type asks for (libxml2 1839)"], "the schema")
    equal(len(events(*AUDIENCE, document)), 3, "events without a schema")
    (folder / "catalog.xml").write_text(CATALOG.format(port=port + 1))
    convert(*AUDIENCE, "--schemas", folder, document, expect=66)
    listener.setblocking(False)
    try:
        listener.accept()
        raise harness.Failure("somebody asked for a schema over the network")
    except BlockingIOError:
        pass


@harness.limit(180)
def test_arrival():
    """Events of documents arrive where they should and nowhere else; once more they are unchanged; a change back is news"""
    network = Network(["uniba.sk", "ut.ee", "ugent.be"]).start()
    home, tartu, ghent = network.nodes
    courses, nominations = convert(*AUDIENCE, COURSES).stdout, convert(NOMINATIONS).stdout
    equal(publish(home, courses + nominations), (5, 0, 0), "at first")
    equal(publish(home, courses + nominations), (0, 5, 0), "the same once more")
    for node, mobility in ((tartu, "mobility/7a1c0f52-0d1e-4a31-9a44-5d2f6f2b7e10"), (ghent, "mobility/m-2")):
        node.wait_for("uniba.sk", "network", 3)
        node.wait_for("uniba.sk", node.member.handle, 1)
        equal([e["subject"] for e in node.events(topic="mobility.*")], [mobility], f"nominations at {node.member.handle}")
        equal(node.count(topic="course.*"), 3, f"courses at {node.member.handle}")

    renamed = COURSES.read_text().replace(">Geology<", ">Earth Science<")
    title = lambda: tartu.events(subject="course/DEP/GEO", data="true")[-1]["data"]["title"][0]["value"]
    equal(publish(home, convert(*AUDIENCE, "-", input=renamed).stdout), (1, 2, 0), "a change")
    equal(publish(home, courses), (1, 2, 0), "the change taken back")
    tartu.wait_for("uniba.sk", "network", 5)
    equal(title(), "Geology", "the title at the reader")


# The official examples: data of others, which lie outside this project.

def official():
    """(folder of schemas, folder of examples)."""
    folder = harness.standards() / "ewp"
    return folder / "schemas", folder / "examples"


def test_official_schemas_take_our_own():
    """Our own documents are good by the official schemas"""
    schemas, _ = official()
    for path, words in ((COURSES, AUDIENCE), (NOMINATIONS, [])):
        equal(convert(*words, "--schemas", schemas, path).stdout, convert(*words, path).stdout, path.name)


@harness.limit(180)
def test_official_examples_arrive():
    """Every official example of courses and nominations converts whole, and arrives at another node"""
    schemas, examples = official()
    network = Network(["uio.no", "uw.edu.pl"]).start()
    sender, reader = network.nodes
    texts = {}
    for name, words in OFFICIAL.items():
        done = convert(*words, "--schemas", schemas, examples / name, member="uio.no")
        equal(done.stderr, "", f"{name}: all of it is carried")
        said = harness.run([ENLIGHT, "publish", "--dry-run"], input=done.stdout, env={}).stderr
        check(", 0 wrong" in said, name, said)
        texts[name] = done.stdout
    sent = [json.loads(line) for text in texts.values() for line in text.splitlines()]
    equal(publish(sender, "".join(texts.values())), (len(sent), 0, 0), "what is published")
    reader.wait_for("uio.no", "network", 2)
    reader.wait_for("uio.no", "uw.edu.pl", 1)
    got = {event["subject"]: event for event in reader.events(data="true")}
    for event in sent:
        check(event["subject"] in got, f"{event['subject']} has arrived")
        equal(got[event["subject"]]["data"], event["data"], event["subject"])


def test_official_examples_of_other_kinds():
    """Official examples of anything else are refused, an older version by name"""
    schemas, examples = official()
    others = [path for path in sorted(examples.glob("*.xml")) if path.name not in OFFICIAL]
    check(len(others) >= 20, "there are others", others)
    for path in others:
        said = convert(*AUDIENCE, "--schemas", schemas, path, expect=65).stderr
        check(re.match(rf"^{re.escape(str(path))}:\d+: \S+: not a document that this takes", said), path.name, said)
    said = convert(examples / "older-omobilities-v2/get-response-example.xml", expect=65).stderr
    check(":11: omobilities-get-response: of another version than omobilities 3.0.0" in said, "version 2", said)


class Leaf:
    """An element without elements in it: where it is in the text, and what stands around it."""

    def __init__(self, path, start, line, parent_line):
        self.path, self.start, self.line, self.parent_line = path, start, line, parent_line
        self.end = self.next_line = None


def leaves(text):
    """All of a document's. Lines are those on which start tags end, as in messages."""
    parser = xml.parsers.expat.ParserCreate()
    data, found, stack = text.encode(), [], []

    def start(name, attributes):
        begin = parser.CurrentByteIndex
        line = data[:data.index(b">", begin)].count(b"\n") + 1
        if stack:
            stack[-1]["children"].append(line)
        stack.append({"name": name.split(":")[-1], "begin": begin, "line": line, "children": []})

    def end(name):
        me = stack.pop()
        if me["children"] or len(stack) < 2:
            return
        leaf = Leaf("/".join([up["name"] for up in stack[2:]] + [me["name"]]), me["begin"], me["line"], stack[-1]["line"])
        leaf.end = data.index(b">", parser.CurrentByteIndex) + 1 if data[parser.CurrentByteIndex:][:2] == b"</" else \
            data.index(b">", me["begin"]) + 1
        found.append((leaf, stack[-1]))

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.Parse(data, True)
    for leaf, parent in found:
        leaf.next_line = next((line for line in parent["children"] if line > leaf.line), None)
        leaf.alone = sum(1 for other, up in found if up is parent and other.path == leaf.path) == 1
    return [leaf for leaf, _ in found]


def line_of(said, path):
    """The lines that refusals name."""
    return [int(n) for n in re.findall(rf"^{re.escape(str(path))}:(\d+): (?!not carried)", said, re.M)]


@harness.limit(300)
def test_official_examples_broken():
    """An official example without one of its values, or with a wrong one, is refused by that line if the standard wants it"""
    schemas, examples = official()
    path = harness.folder("ewp") / "broken.xml"
    for (name, words), rows in zip(OFFICIAL.items(), fields()):
        text = (examples / name).read_text()
        data = text.encode()
        n_refused = 0
        for leaf in leaves(text):
            if leaf.path not in rows:  # it has but attributes
                check(any(row.startswith(leaf.path + "/@") for row in rows), f"{leaf.path} has a row")
                continue
            presence, what = rows[leaf.path]
            needed = presence in ("required", "one of these") or (presence == "at least one" and leaf.alone)
            path.write_bytes(data[:leaf.start] + data[leaf.end:])
            for check_with, lines in (([], [leaf.parent_line]),
                                      (["--schemas", schemas], [leaf.next_line or leaf.parent_line])):
                done = convert(*words, *check_with, path, member="uio.no", expect=65 if needed else None)
                equal(done.returncode, 65 if needed else 0, f"{name}:{leaf.line}: without {leaf.path}: {done.stderr}")
                equal(line_of(done.stderr, path), lines if needed else [], f"{name}:{leaf.line}: without {leaf.path}")
            n_refused += needed

            free = what.startswith(("text in a language", "name")) or leaf.path in ("subjectArea", "iscedCode")
            inner = data[leaf.start:leaf.end]
            wrong = re.sub(rb"^([^>]*>)[^<]*(</.*)$", rb"\1? ?\2", inner)
            check(wrong != inner, f"{leaf.path} has a value", inner)
            path.write_bytes(data[:leaf.start] + wrong + data[leaf.end:])
            done = convert(*words, "--schemas", schemas, path, member="uio.no", expect=None)
            equal(done.returncode, 0 if free else 65, f"{name}:{leaf.line}: a wrong {leaf.path}: {done.stderr}")
            equal(line_of(done.stderr, path), [] if free else [leaf.line], f"{name}:{leaf.line}: a wrong {leaf.path}")
        check(n_refused >= 10, f"{name}: enough of it is required", n_refused)

        for attribute in re.finditer(r' (label|count|proposal-id)="[^"]*"', text):
            path.write_text(text[:attribute.start()] + text[attribute.end():])
            for with_schema in ([], ["--schemas", schemas]):
                said = convert(*words, *with_schema, path, member="uio.no", expect=65).stderr
                equal(line_of(said, path), [text[:attribute.start()].count("\n") + 1], f"{name}: without {attribute.group(1)}")


if __name__ == "__main__":
    harness.main()
