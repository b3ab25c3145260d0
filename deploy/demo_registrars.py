"""The registrars' databases of the demonstration: their tables and mappings, what has to be in them, and what is.

Each is an SQLite file that `enlight-sql`, a plugin of that university's node, fills over ODBC. Seven are alike; Ghent and
Bordeaux call their tables and columns by names of their own, in their own language, and have their own codes; that much is in the
mapping and nowhere else. What has to be there is read from the documents in Python, which knows nothing of enlight-ewp.

    /usr/bin/python3 deploy/demo_registrars.py build/demo/ugent.be/registrar.db     # prints its tables
"""

import glob
import pathlib
import sqlite3
import sys
import xml.etree.ElementTree

DRIVERS = "/usr/lib/*/odbc/libsqlite3odbc.so"
COURSES = "{https://github.com/erasmus-without-paper/ewp-specs-api-courses/tree/stable-v1}"
NOMINATIONS = "{https://github.com/erasmus-without-paper/ewp-specs-api-omobilities/blob/stable-v3/endpoints/get-response.xsd}"
GENDERS = {"0": "NOT_KNOWN", "1": "MALE", "2": "FEMALE", "9": "NOT_APPLICABLE"}  # ISO/IEC 5218, as events spell it

# What most call it. `titles`: the language that titles are wanted in; `genders`: codes of the register.
PLAIN = {
    "course": "joint_course", "university": "university", "course_id": "course_id", "code": "code", "title": "title", "ects": "ects",
    "isced": "isced", "run": "joint_course_run", "run_id": "run_id", "starts": "starts", "ends": "ends", "language": "language",
    "student": "incoming_student", "mobility_id": "mobility_id", "family_name": "family_name", "given_name": "given_name",
    "born": "born", "gender": "gender", "status": "status", "cancelled": "cancelled_at", "revision": "revision",
    "titles": "en", "genders": {"FEMALE": "F", "MALE": "M"}, "otherwise": "X",
}
OWN = {
    "ugent.be": {
        "course": "partnervak", "university": "instelling", "course_id": "vak_id", "code": "vakcode", "title": "titel",
        "ects": "studiepunten", "run": "partnervak_periode", "run_id": "periode_id", "starts": "begin", "ends": "einde",
        "language": "taal", "student": "inkomende_student", "mobility_id": "dossier", "family_name": "naam", "given_name": "voornaam",
        "born": "geboren", "gender": "geslacht", "cancelled": "geannuleerd_op", "revision": "versie", "titles": "nl",
        "genders": {"FEMALE": "V", "MALE": "M"},
    },
    "u-bordeaux.fr": {
        "course": "enseignement", "university": "etablissement", "course_id": "code_ewp", "code": "code_local", "title": "libelle",
        "run": "enseignement_periode", "run_id": "periode", "starts": "debut", "ends": "fin", "language": "langue",
        "student": "etudiant_accueilli", "mobility_id": "mobilite", "family_name": "nom", "given_name": "prenom", "born": "ne_le",
        "gender": "sexe", "status": "etat", "cancelled": "annule_le", "titles": "fr", "genders": {"FEMALE": "2", "MALE": "1"},
        "otherwise": "9",
    },
}

TABLES = """
CREATE TABLE {course} ({university} TEXT NOT NULL, {course_id} TEXT NOT NULL, {code} TEXT, {title} TEXT NOT NULL, {ects} NUMERIC,
    {isced} TEXT, {revision} INTEGER NOT NULL, PRIMARY KEY ({university}, {course_id}));
CREATE TABLE {run} ({university} TEXT NOT NULL, {course_id} TEXT NOT NULL, {run_id} TEXT NOT NULL, {starts} DATE NOT NULL,
    {ends} DATE NOT NULL, {language} TEXT, PRIMARY KEY ({university}, {course_id}, {run_id}),
    FOREIGN KEY ({university}, {course_id}) REFERENCES {course});
CREATE TABLE {student} ({university} TEXT NOT NULL, {mobility_id} TEXT NOT NULL, {family_name} TEXT, {given_name} TEXT,
    {born} DATE, {gender} TEXT CHECK ({gender} IN ({gender_codes})), {status} TEXT NOT NULL, {cancelled} TIMESTAMP,
    {revision} INTEGER NOT NULL, PRIMARY KEY ({university}, {mobility_id}));
"""
MAPPING = """\
connection: "Driver={driver};Database={database};Timeout=2000"
tables:
  - topic: course.offering
    table: {course}
    key: {{{university}: source, {course_id}: data.courseId}}
    revision: {revision}
    columns:
      {code}: data.code
      {title}: data.title[lang={titles}].value | data.title[lang=en].value | data.title[0].value
      {ects}: data.credits[scheme=ects].value
      {isced}: data.iscedF
    rows:
      - table: {run}
        each: data.runs
        key: {{{run_id}: runId}}
        columns: {{{starts}: start, {ends}: end, {language}: language}}
  - topic: mobility.nomination
    table: {student}
    key: {{{university}: source, {mobility_id}: data.mobilityId}}
    revision: {revision}
    columns:
      {family_name}: data.student.names[0].family
      {given_name}: data.student.names[0].given
      {born}: data.student.birthDate
      {gender}: {{from: data.student.gender, values: {{{gender_values}}}, otherwise: "{otherwise}"}}
      {status}: data.status.code
    withdrawn: {cancelled}
    erased: blank
"""


def names(member):
    """How this registrar calls things."""
    n = {**PLAIN, **OWN.get(member, {})}
    n["gender_values"] = ", ".join(f'{ours}: "{theirs}"' for ours, theirs in n["genders"].items())
    n["gender_codes"] = ", ".join(f"'{code}'" for code in [*n["genders"].values(), n["otherwise"]])
    return n


def make(member, folder):
    """The empty database and the mapping for it, in the node's folder, and what its configuration says of the plugin."""
    drivers = glob.glob(DRIVERS)
    if not drivers:
        raise FileNotFoundError(f"{DRIVERS}: deploy/dependencies build installs it")
    database = folder / "registrar.db"
    connection = sqlite3.connect(database)
    connection.executescript(TABLES.format(**names(member)))
    connection.close()
    (folder / "registrar.yaml").write_text(MAPPING.format(driver=drivers[0], database=database, **names(member)))


def text_of(element, path, ns):
    found = element.find("/".join(ns + step for step in path.split("/")))
    return None if found is None else found.text


def course_ids(document):
    """Of a document of courses: their ids, in its order."""
    return [text_of(los, "los-id", COURSES) for los in xml.etree.ElementTree.parse(document).getroot()]


def nomination_ids(document):
    """Of a document of nominations: (id, who receives the student, texts that only these two may know)."""
    for one in xml.etree.ElementTree.parse(document).getroot():
        yield (text_of(one, "omobility-id", NOMINATIONS), text_of(one, "nomination/receiving-hei/hei-id", NOMINATIONS),
               [text_of(one, f"student/{name}", NOMINATIONS) for name in ("family-name", "global-id", "email")])


def title_of(los, language):
    titles = [(t.get("{http://www.w3.org/XML/1998/namespace}lang"), t.text) for t in los.findall(COURSES + "title")]
    for wanted in (language, "en"):
        for lang, text in titles:
            if lang == wanted:
                return text
    return titles[0][1]


def ects_of(los):
    """What all runs say alike of ECTS; documents know credits of runs alone."""
    said = {tuple(float(text_of(credit, "value", COURSES)) for credit in run.findall(COURSES + "credit")
                  if text_of(credit, "scheme", COURSES) == "ects") for run in los.iter(COURSES + "learningOpportunityInstance")}
    only = said.pop() if len(said) == 1 else ()
    return only[0] if only else None


def expected(member, documents):
    """Rows that have to be in this registrar's database, given (publisher, its document of courses, of nominations) of all."""
    n = names(member)
    courses, runs, students = [], [], []
    for publisher, of_courses, of_nominations in documents:
        if publisher == member:
            continue
        for los in xml.etree.ElementTree.parse(of_courses).getroot():
            key = (publisher, text_of(los, "los-id", COURSES))
            courses.append(key + (text_of(los, "los-code", COURSES), title_of(los, n["titles"]), ects_of(los),
                                  text_of(los, "iscedCode", COURSES), 1))
            runs += [key + tuple(text_of(run, name, COURSES) for name in ("loi-id", "start", "end", "languageOfInstruction"))
                     for run in los.iter(COURSES + "learningOpportunityInstance")]
        for one in xml.etree.ElementTree.parse(of_nominations).getroot():
            if text_of(one, "nomination/receiving-hei/hei-id", NOMINATIONS) != member:
                continue
            gender = n["genders"].get(GENDERS[text_of(one, "student/gender", NOMINATIONS)], n["otherwise"])
            students.append((publisher, text_of(one, "omobility-id", NOMINATIONS),
                             text_of(one, "student/family-name", NOMINATIONS), text_of(one, "student/given-names", NOMINATIONS),
                             text_of(one, "student/birth-date", NOMINATIONS), gender, text_of(one, "status", NOMINATIONS), None, 1))
    return {n["course"]: sorted(courses), n["run"]: sorted(runs), n["student"]: sorted(students)}


def read(database):
    """All rows of the registrar's own tables."""
    connection = sqlite3.connect(f"{pathlib.Path(database).resolve().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        tables = [name for name, in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")]
        return {table: sorted(connection.execute(f'SELECT * FROM "{table}"')) for table in tables if not table.startswith("enlight_")}
    finally:
        connection.close()


def main():
    for table, rows in read(sys.argv[1]).items():
        print(f"{table}: {len(rows)} rows")
        for row in rows:
            print("  " + " | ".join("" if value is None else str(value) for value in row))


if __name__ == "__main__":
    main()
