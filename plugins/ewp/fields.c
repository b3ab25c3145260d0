#include "ewp/fields.h"

#include "ewp/convert.h"

#define TERM_NS "https://github.com/erasmus-without-paper/ewp-specs-types-academic-term/tree/stable-v1"

static const char *const presences[] = {
	[EWP_OPTIONAL] = "optional",
	[EWP_REQUIRED] = "required",
	[EWP_CHOICE] = "one of these",
	[EWP_MANY] = "any number",
	[EWP_SOME] = "at least one",
};

const char *ewp_presence_text(enum ewp_presence presence)
{
	return presences[presence];
}

/* ---- Courses (API version 0.7.1) ---- */

static const struct ewp_word course_kinds[] = {
	{"Course", "course"},
	{"Module", "module"},
	{"Class", "class"},
	{"Degree Programme", "programme"},
	{NULL, NULL},
};

static const struct ewp_word credit_levels[] = {
	{"Bachelor", "bachelor"},
	{"Master", "master"},
	{"PhD", "phd"},
	{NULL, NULL},
};

static const struct ewp_field term_fields[] = {
	{"academic-year-id", "academicYear", EWP_YEAR, EWP_REQUIRED, .ns = TERM_NS},
	{"ewp-id", "term", EWP_TERM, EWP_OPTIONAL, .ns = TERM_NS},
	{"display-name", "name", EWP_TEXT, EWP_SOME, .ns = TERM_NS},
	{"start-date", "start", EWP_DATE, EWP_REQUIRED, .ns = TERM_NS},
	{"end-date", "end", EWP_DATE, EWP_REQUIRED, .ns = TERM_NS},
	{NULL},
};
static const struct ewp_group term = {term_fields, NULL};

static const struct ewp_field grading_fields[] = {
	{"label", "label", EWP_TEXT, EWP_SOME},
	{"description", "description", EWP_TEXT, EWP_MANY},
	{NULL},
};
static const struct ewp_group grading = {grading_fields, NULL};

static const struct ewp_field category_fields[] = {
	{"@label", "label", EWP_STRING, EWP_REQUIRED},
	{"@count", "count", EWP_COUNT, EWP_REQUIRED},
	{NULL},
};
static const struct ewp_group category = {category_fields, NULL};

static const struct ewp_field distribution_fields[] = {
	{"category", "categories", EWP_OBJECT, EWP_SOME, .group = &category},
	{"description", "description", EWP_TEXT, EWP_MANY},
	{NULL},
};
static const struct ewp_group distribution = {distribution_fields, NULL};

static const struct ewp_field credit_fields[] = {
	{"scheme", "scheme", EWP_SCHEME, EWP_REQUIRED},
	{"level", "level", EWP_WORD, EWP_OPTIONAL, .words = credit_levels},
	{"value", "value", EWP_DECIMAL, EWP_REQUIRED},
	{NULL},
};
static const struct ewp_group credit = {credit_fields, NULL};

static const struct ewp_field run_fields[] = {
	{"loi-id", "runId", EWP_LOI_ID, EWP_REQUIRED},
	{"start", "start", EWP_DATE, EWP_REQUIRED},
	{"end", "end", EWP_DATE, EWP_REQUIRED},
	{"academic-term", "term", EWP_OBJECT, EWP_OPTIONAL, .group = &term, .ns = TERM_NS},
	{"gradingScheme", "gradingScheme", EWP_OBJECT, EWP_OPTIONAL, .group = &grading},
	{"resultDistribution", "results", EWP_OBJECT, EWP_OPTIONAL, .group = &distribution},
	{"credit", "credits", EWP_OBJECT, EWP_MANY, .group = &credit},
	{"languageOfInstruction", "language", EWP_LANGUAGE, EWP_OPTIONAL},
	{"engagementHours", "engagementHours", EWP_DECIMAL, EWP_OPTIONAL},
	{NULL},
};
static const struct ewp_group run = {run_fields, NULL};

static const struct ewp_field runs_fields[] = {
	{"learningOpportunityInstance", "runs", EWP_OBJECT, EWP_MANY, .group = &run},
	{NULL},
};
static const struct ewp_group runs = {runs_fields, NULL};

static const struct ewp_field parts_fields[] = {
	{"los-id", "contains", EWP_LOS_ID, EWP_MANY},
	{NULL},
};
static const struct ewp_group parts = {parts_fields, NULL};

static const struct ewp_field course_fields[] = {
	{"los-id", "courseId", EWP_LOS_ID, EWP_REQUIRED},
	{"los-code", "code", EWP_STRING, EWP_OPTIONAL},
	{"ounit-id", "ounitId", EWP_STRING, EWP_OPTIONAL},
	{"title", "title", EWP_TEXT, EWP_SOME},
	{"type", "kind", EWP_WORD, EWP_OPTIONAL, .words = course_kinds},
	{"subjectArea", "erasmusSubjectArea", EWP_STRING, EWP_OPTIONAL},
	{"iscedCode", "iscedF", EWP_ISCED_F, EWP_OPTIONAL},
	{"eqfLevelProvided", "eqfLevel", EWP_INTEGER, EWP_OPTIONAL},
	{"url", "urls", EWP_LINK, EWP_MANY},
	{"description", "description", EWP_TEXT, EWP_MANY},
	{"specifies", NULL, EWP_INLINE, EWP_OPTIONAL, .group = &runs},
	{"contains", NULL, EWP_INLINE, EWP_OPTIONAL, .group = &parts},
	{NULL},
};

/* ---- Outgoing mobilities, get response (API version 3.0.0) ---- */

static const struct ewp_word genders[] = {
	{"0", "UNKNOWN"},
	{"1", "MALE"},
	{"2", "FEMALE"},
	{"9", "NOT_APPLICABLE"},
	{NULL, NULL},
};

static const struct ewp_field student_fields[] = {
	{"given-names", "given", EWP_NAME, EWP_SOME},
	{"family-name", "family", EWP_NAME, EWP_SOME},
	{"global-id", "esi", EWP_STRING, EWP_REQUIRED},
	{"birth-date", "birthDate", EWP_DATE, EWP_REQUIRED},
	{"nationality", "nationality", EWP_STRING, EWP_REQUIRED},
	{"gender", "gender", EWP_GENDER, EWP_REQUIRED, .words = genders},
	{"email", "email", EWP_STRING, EWP_REQUIRED},
	{NULL},
};
static const struct ewp_group student = {student_fields, pair_names};

static const struct ewp_field hei_fields[] = {
	{"hei-id", "heiId", EWP_STRING, EWP_REQUIRED},
	{"ounit-id", "ounitId", EWP_STRING, EWP_OPTIONAL},
	{"iia-id", "agreementId", EWP_STRING, EWP_OPTIONAL},
	{NULL},
};
static const struct ewp_group hei = {hei_fields, NULL};

static const struct ewp_field nomination_fields[] = {
	{"@proposal-id", "proposalId", EWP_STRING, EWP_REQUIRED},
	{"sending-hei", "sending", EWP_OBJECT, EWP_REQUIRED, .group = &hei},
	{"receiving-hei", "receiving", EWP_OBJECT, EWP_REQUIRED, .group = &hei},
	{"sending-academic-term-ewp-id", "sendingTerm", EWP_TERM, EWP_CHOICE},
	{"non-standard-mobility-period", "nonStandardPeriod", EWP_FLAG, EWP_CHOICE},
	{"receiving-academic-year-id", "receivingAcademicYear", EWP_STRING, EWP_REQUIRED},
	{"activity-type", "activityType", EWP_STRING, EWP_REQUIRED},
	{"activity-attributes", "activityAttributes", EWP_STRING, EWP_REQUIRED},
	{"agreement-isced-f-code", "agreementIscedF", EWP_STRING, EWP_REQUIRED},
	{"eqf-level-studied-at-departure", "eqfLevel", EWP_INTEGER, EWP_REQUIRED},
	{"nominee-isced-f-code", "studentIscedF", EWP_STRING, EWP_REQUIRED},
	{"comment", "comment", EWP_TEXT, EWP_OPTIONAL},
	{NULL},
};
static const struct ewp_group nomination = {nomination_fields, NULL};

static const struct ewp_field mobility_fields[] = {
	{"omobility-id", "mobilityId", EWP_STRING, EWP_REQUIRED},
	{"student", "student", EWP_OBJECT, EWP_REQUIRED, .group = &student},
	{"nomination", NULL, EWP_INLINE, EWP_REQUIRED, .group = &nomination},
	{"status", "status", EWP_STATUS, EWP_REQUIRED, .list = "ewp-omobilities-3"},
	{NULL},
};

/* ---- The kinds of documents ---- */

const struct ewp_kind ewp_kinds[] = {
	{
		.name = "courses 0.7.1",
		.root = "courses-response",
		.ns = "https://github.com/erasmus-without-paper/ewp-specs-api-courses/tree/stable-v1",
		.schema = "ewp-specs-api-courses-v0.7.1/response.xsd",
		.object = "learningOpportunitySpecification",
		.topic = "course.offering",
		.group = {course_fields, lift_credits},
	},
	{
		.name = "omobilities 3.0.0",
		.root = "omobilities-get-response",
		.ns = "https://github.com/erasmus-without-paper/ewp-specs-api-omobilities/blob/stable-v3/endpoints/"
		      "get-response.xsd",
		.schema = "ewp-specs-api-omobilities-v3.0.0/endpoints/get-response.xsd",
		.object = "student-mobility",
		.topic = "mobility.nomination",
		.reader = "receiving.heiId",
		.group = {mobility_fields, NULL},
	},
};
const size_t n_ewp_kinds = sizeof ewp_kinds / sizeof *ewp_kinds;
