#include "core/topic.h"

#include "core/limits.h"
#include "core/rule.h"
#include "core/topic_examples.h"
#include "enlight/event/v1/agreement.pb-c.h"
#include "enlight/event/v1/course.pb-c.h"
#include "enlight/event/v1/credential.pb-c.h"
#include "enlight/event/v1/decision.pb-c.h"
#include "enlight/event/v1/document.pb-c.h"
#include "enlight/event/v1/enrolment.pb-c.h"
#include "enlight/event/v1/label.pb-c.h"
#include "enlight/event/v1/mobility.pb-c.h"
#include "enlight/event/v1/node.pb-c.h"
#include "enlight/event/v1/person.pb-c.h"
#include "enlight/event/v1/programme.pb-c.h"
#include "enlight/event/v1/staff.pb-c.h"
#include <stdlib.h>
#include <string.h>

/* Days an event is kept at most. Records of exchanges are audited up to five years after the last payment. */
enum { YEARS_2 = 731, YEARS_7 = 2557, YEARS_10 = 3653, YEARS_40 = 14610, FOR_DOCUMENTS = 731 };

/* clang-format off */
#define PLACES(...) (const char *const[]){__VA_ARGS__, NULL}
#define PERSON_PLACES(field) PLACES(field ".esi", field ".allianceId", field ".personId")
#define NAMED(topic) .name = topic, .type = TYPE_PREFIX topic ".v1"
#define MESSAGE(m) .message = &enlight__event__v1__##m##__descriptor
#define PERSONAL .personal = true, .data_class = "personal"
#define INTERNAL .data_class = "internal"
#define DECISION(f, judged, judged_subject, kind, days) { \
	NAMED(f ".decision"), .family = f, MESSAGE(decision), kind, .publisher = "the other side", .keep_days = days, \
	.purpose = "Approve, reject or comment on an object of another member", \
	.example = EXAMPLE_DECISION(judged, judged_subject), .rules = &rules_decision}
#define WITHDRAWAL(f, withdrawn, kind, days) { \
	NAMED(f ".withdrawal"), .family = f, MESSAGE(withdrawal), kind, .publisher = "the object's publisher", \
	.keep_days = days, .purpose = "Take an own object back", .example = EXAMPLE_WITHDRAWAL(withdrawn), \
	.rules = &rules_withdrawal}
/* clang-format on */

/* Decisions and withdrawals of an open family go to the network too, unless what they are about is personal (event.c). */
const struct topic topics[] = {
	DECISION("agreement", "agreement.terms", "agreement/0b6f4a52-2d0e-4a8d-bf2b-9b1f6a5cf1c4", PERSONAL, YEARS_10),
	{
		NAMED("agreement.terms"),
		.family = "agreement",
		MESSAGE(agreement),
		PERSONAL,
		.publisher = "either partner",
		.roles = PLACES("partners.heiId"),
		.keep_days = YEARS_10,
		.purpose = "Agree between two universities on exchanging students and staff",
		.example = example_agreement,
		.id = "agreementId",
		.rules = &rules_agreement,
	},
	WITHDRAWAL("agreement", "agreement.terms", PERSONAL, YEARS_10),
	DECISION("course", "course.offering", "course/CR/f6d14b1f-f330-4956-8819-e24feb12d519", INTERNAL, YEARS_2),
	{
		NAMED("course.offering"),
		.family = "course",
		MESSAGE(course_offering),
		.data_class = "public",
		.publisher = "owner",
		.keep_days = YEARS_10,
		.purpose = "Show partners' students a course and when it is given",
		.example = example_course,
		.id = "courseId",
		.rules = &rules_course,
	},
	WITHDRAWAL("course", "course.offering", INTERNAL, YEARS_10),
	DECISION("credential", "credential.issued", "credential/mc-2026-000417", PERSONAL, YEARS_10),
	{
		NAMED("credential.issued"),
		.family = "credential",
		MESSAGE(credential),
		PERSONAL,
		.publisher = "issuer",
		.roles = PLACES("issuer.heiId"),
		.persons = PERSON_PLACES("holder"),
		.keep_days = YEARS_10,
		.purpose = "Let a partner recognise a micro-credential or other credential",
		.example = example_credential,
		.id = "credentialId",
		.rules = &rules_credential,
	},
	WITHDRAWAL("credential", "credential.issued", PERSONAL, YEARS_10),
	{
		NAMED("document.part"),
		.family = "document",
		MESSAGE(document_part),
		PERSONAL,
		.publisher = "owner",
		.persons = PLACES("persons"),
		.keep_days = FOR_DOCUMENTS,
		.purpose = "Carry a document that is too large for one event",
		.example = example_document_part,
		.id = "documentId",
		.rules = &rules_document_part,
	},
	DECISION("enrolment", "enrolment.request", "enrolment/9d0c2f5e-7f0a-4c61-9a56-1b7f6b3f2a11", PERSONAL, YEARS_7),
	{
		NAMED("enrolment.request"),
		.family = "enrolment",
		MESSAGE(enrolment),
		PERSONAL,
		.publisher = "home",
		.roles = PLACES("home.heiId"),
		.persons = PERSON_PLACES("student"),
		.keep_days = YEARS_7,
		.purpose = "Enrol a student in a course or programme of a partner",
		.example = example_enrolment,
		.id = "enrolmentId",
		.rules = &rules_enrolment,
	},
	WITHDRAWAL("enrolment", "enrolment.request", PERSONAL, YEARS_7),
	DECISION("label", "label.programme", "label/edl-gh-2026", INTERNAL, YEARS_10),
	{
		NAMED("label.learner"),
		.family = "label",
		MESSAGE(learner_eligibility),
		PERSONAL,
		.publisher = "assessor",
		.roles = PLACES("assessor.heiId"),
		.persons = PERSON_PLACES("learner"),
		.keep_days = YEARS_7,
		.purpose = "Say whether a learner fulfils the criteria of the European degree label",
		.example = example_eligibility,
		.id = "eligibilityId",
		.rules = &rules_eligibility,
	},
	{
		NAMED("label.programme"),
		.family = "label",
		MESSAGE(programme_assessment),
		INTERNAL,
		.publisher = "coordinator",
		.roles = PLACES("coordinator.heiId"),
		.keep_days = YEARS_10,
		.purpose = "Say how a joint programme meets the criteria of the European degree label",
		.example = example_assessment,
		.id = "assessmentId",
		.rules = &rules_assessment,
	},
	WITHDRAWAL("label", "label.programme", INTERNAL, YEARS_10),
	DECISION("mobility", "mobility.nomination", "mobility/c442c289-5541-4cae-9edb-8ad8b1c40e57", PERSONAL, YEARS_7),
	{
		NAMED("mobility.learning"),
		.family = "mobility",
		MESSAGE(learning_agreement),
		PERSONAL,
		.publisher = "sender",
		.roles = PLACES("sending.heiId"),
		.persons = PERSON_PLACES("student"),
		.keep_days = YEARS_7,
		.purpose = "Agree what a student will study at the receiver and what it counts for",
		.example = example_learning,
		.id = "mobilityId",
		.rules = &rules_learning,
	},
	{
		NAMED("mobility.nomination"),
		.family = "mobility",
		MESSAGE(nomination),
		PERSONAL,
		.publisher = "sender",
		.roles = PLACES("sending.heiId"),
		.persons = PERSON_PLACES("student"),
		.keep_days = YEARS_7,
		.purpose = "Nominate a student for a stay at the receiver",
		.example = example_nomination,
		.id = "mobilityId",
		.rules = &rules_nomination,
	},
	{
		NAMED("mobility.stay"),
		.family = "mobility",
		MESSAGE(stay),
		PERSONAL,
		.publisher = "receiver",
		.roles = PLACES("receiving.heiId"),
		.persons = PLACES("student"),
		.keep_days = YEARS_7,
		.purpose = "Confirm arrival and departure",
		.example = example_stay,
		.id = "mobilityId",
		.rules = &rules_stay,
	},
	{
		NAMED("mobility.transcript"),
		.family = "mobility",
		MESSAGE(transcript),
		PERSONAL,
		.publisher = "sender or receiver",
		.roles = PLACES("issuer"),
		.persons = PERSON_PLACES("student"),
		.keep_days = YEARS_7,
		.purpose = "Tell a student's results, so that they can be recognised",
		.example = example_transcript,
		.id = "mobilityId",
		.rules = &rules_transcript,
	},
	WITHDRAWAL("mobility", "mobility.nomination", PERSONAL, YEARS_7),
	{
		NAMED("node.act"),
		.family = "node",
		MESSAGE(act),
		INTERNAL,
		.self = true,
		.publisher = "the node itself, to its own member alone",
		.keep_days = YEARS_7,
		.purpose = "Remember what operators did to a node: its audit trail",
		.example = example_act,
		.id = "actId",
		.rules = &rules_act,
	},
	{
		NAMED("node.checkpoint"),
		.family = "node",
		MESSAGE(checkpoint),
		INTERNAL,
		.publisher = "owner",
		.roles = PLACES("node"),
		.keep_days = YEARS_40,
		.purpose = "Anchor the heads of all channels of a node in time",
		.example = example_checkpoint,
		.id = "node",
		.rules = &rules_checkpoint,
	},
	{
		NAMED("person.correction"),
		.family = "person",
		MESSAGE(correction),
		PERSONAL,
		.publisher = "who published the person's data",
		.persons = PERSON_PLACES("person"),
		.keep_days = YEARS_7,
		.purpose = "Correct a person's data at everyone who received them",
		.example = example_correction,
		.id = "correctionId",
		.rules = &rules_correction,
	},
	{
		NAMED("person.erasure"),
		.family = "person",
		MESSAGE(erasure),
		INTERNAL,
		.publisher = "who published the person's data",
		.persons = PLACES("person"),
		.keep_days = YEARS_40,
		.purpose = "Have events of this channel forgotten by everyone who received them",
		.example = example_erasure,
		.id = "erasureId",
		.rules = &rules_erasure,
	},
	DECISION("programme", "programme.joint", "programme/enlight-msc-global-health", INTERNAL, YEARS_10),
	{
		NAMED("programme.joint"),
		.family = "programme",
		MESSAGE(joint_programme),
		.data_class = "public",
		.publisher = "coordinator",
		.roles = PLACES("coordinator.heiId"),
		.keep_days = YEARS_10,
		.purpose = "Describe a programme that several universities give together",
		.example = example_programme,
		.id = "programmeId",
		.rules = &rules_programme,
	},
	WITHDRAWAL("programme", "programme.joint", INTERNAL, YEARS_10),
	DECISION("staff", "staff.nomination", "staff/sta-2026-0031", PERSONAL, YEARS_7),
	{
		NAMED("staff.nomination"),
		.family = "staff",
		MESSAGE(staff_mobility),
		PERSONAL,
		.publisher = "sender",
		.roles = PLACES("sending.heiId"),
		.persons = PERSON_PLACES("staff"),
		.keep_days = YEARS_7,
		.purpose = "Propose a member of staff for teaching or training at the receiver",
		.example = example_staff,
		.id = "mobilityId",
		.rules = &rules_staff,
	},
	WITHDRAWAL("staff", "staff.nomination", PERSONAL, YEARS_7),
};

const size_t n_topics = sizeof topics / sizeof *topics;

static int compare_name(const void *name, const void *topic)
{
	return strcmp(name, ((const struct topic *)topic)->name);
}

const struct topic *topic_find(const char *name)
{
	return bsearch(name, topics, n_topics, sizeof *topics, compare_name);
}

const struct topic *topic_of_type(const char *type)
{
	char name[TYPE_MAX + 1];
	const struct topic *topic = topic_name_of_type(name, type) ? topic_find(name) : NULL;

	return topic != NULL && strcmp(topic->type, type) == 0 ? topic : NULL;
}

bool topic_is_self(const char *name)
{
	const struct topic *topic = topic_find(name);

	return topic != NULL && topic->self;
}

bool topic_matches(const char *pattern, const char *name)
{
	const char *star = strchr(pattern, '*');
	size_t before, after, len = strlen(name);

	if (star == NULL)
		return strcmp(pattern, name) == 0;
	before = (size_t)(star - pattern);
	after = strlen(star + 1);
	return len >= before + after && strncmp(pattern, name, before) == 0 &&
	       strcmp(star + 1, name + len - after) == 0 && !topic_is_self(name);
}

bool topic_pattern_valid(const char *pattern)
{
	const char *star = strchr(pattern, '*');

	/* a whole word, a whole side of the point, or all: what covers half a word is a slip */
	if (star != NULL && strcmp(pattern, "*") != 0 && !(star > pattern && star[-1] == '.' && star[1] == '\0') &&
		!(star == pattern && star[1] == '.' && strchr(star + 1, '*') == NULL))
		return false;
	for (size_t i = 0; i < n_topics; i++)
		if (topic_matches(pattern, topics[i].name))
			return true;
	return false;
}

/* The length of a version suffix (.v1) at the end, 0 when there is none. */
static size_t version_len(const char *type, size_t len)
{
	size_t digits = 0;

	while (digits < len && type[len - 1 - digits] >= '0' && type[len - 1 - digits] <= '9')
		digits++;
	if (digits == 0 || digits + 2 > len || type[len - digits] == '0')
		return 0;
	return type[len - digits - 1] == 'v' && type[len - digits - 2] == '.' ? digits + 2 : 0;
}

bool topic_name_of_type(char *out, const char *type)
{
	size_t prefix = strlen(TYPE_PREFIX), len = strlen(type), version;

	if (len > TYPE_MAX || strncmp(type, TYPE_PREFIX, prefix) != 0)
		return false;
	version = version_len(type + prefix, len - prefix);
	if (version == 0)
		return false;
	memcpy(out, type + prefix, len - prefix - version);
	out[len - prefix - version] = '\0';
	return rule_holds(RULE_TOPIC, out, strlen(out));
}
