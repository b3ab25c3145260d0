#include "core/rule.h"

#include "core/digest.h"
#include "core/wire.h"
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
#include <assert.h>
#include <string.h>

enum { VALUES_MAX = 64 }; /* of a place, compared with each other */

/* ---- Relations ---- */

static bool place_value(
	const ProtobufCMessageDescriptor *type, struct bytes message, const char *place, struct bytes *out)
{
	*out = bytes_of(NULL, 0);
	return place_values(type, message, place, out, 1) > 0;
}

static bool any_of_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes v;

	return place_value(type, message, r->a, &v) || place_value(type, message, r->b, &v) ||
	       (r->c != NULL && place_value(type, message, r->c, &v));
}

/* Dates as far as both are known. */
static bool in_order_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes a, b;

	if (!place_value(type, message, r->a, &a) || !place_value(type, message, r->b, &b))
		return true;
	return memcmp(a.data, b.data, a.len < b.len ? a.len : b.len) <= 0;
}

static bool differ_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes a, b;

	return !place_value(type, message, r->a, &a) || !place_value(type, message, r->b, &b) || !bytes_equal(a, b);
}

/* One of the two equals the third. */
static bool either_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes a, b, c;

	place_value(type, message, r->a, &a);
	place_value(type, message, r->b, &b);
	place_value(type, message, r->c, &c);
	return bytes_equal(c, a) || bytes_equal(c, b);
}

static bool distinct_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes values[VALUES_MAX];
	size_t n = place_values(type, message, r->a, values, VALUES_MAX);

	for (size_t i = 1; i < n && n <= VALUES_MAX; i++)
		for (size_t k = 0; k < i; k++)
			if (bytes_equal(values[i], values[k]))
				return false;
	return n <= VALUES_MAX;
}

static uint64_t number_at(const ProtobufCMessageDescriptor *type, struct bytes message, const char *name)
{
	const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(type, name);
	struct wire_field f;

	assert(field != NULL);
	while (wire_next(&message, &f))
		if (f.number == field->id)
			return f.value;
	return 0;
}

static bool not_above_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	return number_at(type, message, r->a) <= number_at(type, message, r->b);
}

static bool explained_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes verdict, comment;

	place_value(type, message, r->a, &verdict);
	return bytes_equal(verdict, bytes_str("approve")) || place_value(type, message, r->b, &comment);
}

static bool one_form_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes v;

	return place_value(type, message, r->a, &v) != place_value(type, message, r->b, &v);
}

static bool content_fits_holds(const struct relation *r, const ProtobufCMessageDescriptor *type, struct bytes message)
{
	struct bytes content, given;
	struct digest digest;

	if (!place_value(type, message, r->a, &content))
		return true;
	place_value(type, message, r->b, &given);
	digest_plain(&digest, content);
	return number_at(type, message, r->c) == content.len &&
	       bytes_equal(given, bytes_of(digest.bytes, sizeof digest.bytes));
}

/* By the names that proto/README.md explains. */
static const struct relation_kind any_of = {"any-of", any_of_holds};
static const struct relation_kind in_order = {"in-order", in_order_holds};
static const struct relation_kind differ = {"differ", differ_holds};
static const struct relation_kind either = {"either", either_holds};
static const struct relation_kind distinct = {"distinct", distinct_holds};
static const struct relation_kind not_above = {"not-above", not_above_holds};
static const struct relation_kind explained = {"explained", explained_holds};
static const struct relation_kind one_form = {"one-form", one_form_holds};
static const struct relation_kind content_fits = {"content-fits", content_fits_holds};

/* ---- The sets: what a set needs stands before it; rows in the order of the .proto ---- */

/* clang-format off */
#define TEXTS(name) {name, RULE_MESSAGE, .set = &rules_text}
#define TEXTS_NEEDED(name) {name, RULE_MESSAGE, .min = 1, .set = &rules_text}
#define CREDITS(name) {name, RULE_MESSAGE, .set = &rules_credit}
#define STATUS(name, codes) {name, RULE_MESSAGE, .list = codes, .set = &rules_status}
#define INSTITUTION(name) {name, RULE_MESSAGE, .set = &rules_institution}
#define COURSES(name) {name, RULE_MESSAGE, .set = &rules_course_reference}
#define PERSON(name) {name, RULE_MESSAGE, .set = &rules_person}
#define LANGUAGES(name) {name, RULE_MESSAGE, .set = &rules_language}
#define ATTACHMENT(name) {name, RULE_MESSAGE, .set = &rules_attachment}
#define COMPONENTS(name) {name, RULE_MESSAGE, .set = &rules_component}
#define IN_ORDER(first, second) {&in_order, second, "not before " first, first, second, NULL}
#define TWO_SIDES \
	{&differ, "receiving", "another university than the sending one", "sending.heiId", "receiving.heiId", NULL}
/* clang-format on */

#define SET(name, message, relation)                                                                                   \
	const struct rule_set name = {&enlight__event__v1__##message##__descriptor, name##_fields, relation}

static const struct rule rules_text_fields[] = {{"lang", RULE_LANGUAGE}, {"value", RULE_TEXT}};
static SET(rules_text, localized_text, NULL);

static const struct rule rules_link_fields[] = {{"lang", RULE_LANGUAGE}, {"url", RULE_URL}};
static SET(rules_link, link, NULL);

static const struct rule rules_credit_fields[] = {
	{"scheme", RULE_CODE, .list = "ects"},
	{"value", RULE_DECIMAL},
	{"level", RULE_CODE, .list = "bachelor, master, phd"},
};
static SET(rules_credit, credit, NULL);

static const struct rule rules_status_fields[] = {
	{"code", RULE_CODE},
	{"foreign_value", RULE_LINE},
	{"foreign_list", RULE_CODE},
};
static SET(rules_status, status, NULL);

static const struct rule rules_term_fields[] = {
	{"academic_year", RULE_ACADEMIC_YEAR},
	{"term", RULE_TERM},
	{"local_id", RULE_ID},
	TEXTS("name"),
	{"start", RULE_DATE},
	{"end", RULE_DATE},
};
static const struct relation start_end[] = {IN_ORDER("start", "end"), {NULL}};
static SET(rules_term, academic_term, start_end);

static const struct rule rules_contact_fields[] = {TEXTS_NEEDED("name"), TEXTS("role"), {"email", RULE_EMAIL}};
static SET(rules_contact, contact, NULL);

static const struct rule rules_institution_fields[] = {
	{"hei_id", RULE_HANDLE},
	{"ounit_id", RULE_ID},
	TEXTS("ounit_name"),
	{"agreement_id", RULE_ID},
	{"contacts", RULE_MESSAGE, .set = &rules_contact},
};
static SET(rules_institution, institution, NULL);

static const struct rule rules_course_reference_fields[] = {
	{"hei_id", RULE_HANDLE}, {"course_id", RULE_ID}, {"run_id", RULE_ID}};
static SET(rules_course_reference, course_reference, NULL);

static const struct rule rules_name_fields[] = {{"lang", RULE_LANGUAGE}, {"given", RULE_LINE}, {"family", RULE_LINE}};
static SET(rules_name, person_name, NULL);

static const struct rule rules_person_fields[] = {
	{"names", RULE_MESSAGE, .min = 1, .set = &rules_name},
	{"birth_date", RULE_DATE},
	{"esi", RULE_ESI},
	{"nationality", RULE_COUNTRY},
	{"gender", RULE_ONE_OF, .list = "UNKNOWN, MALE, FEMALE, NOT_APPLICABLE"},
	{"email", RULE_EMAIL},
	{"alliance_id", RULE_ALLIANCE_ID},
	{"person_id", RULE_PERSON_ID},
};
static const struct relation person_relations[] = {
	{&any_of, NULL, "at least one of esi, allianceId and personId", "esi", "allianceId", "personId"},
	{NULL},
};
static SET(rules_person, person, person_relations);

static const struct rule rules_language_fields[] = {
	{"language", RULE_LANGUAGE}, {"cefr_level", RULE_CEFR}, {"isced_f", RULE_ISCED_F}};
static SET(rules_language, language_skill, NULL);

static const struct rule rules_attachment_fields[] = {
	{"media_type", RULE_MEDIA_TYPE},
	{"size", RULE_ANY},
	{"digest", RULE_DIGEST},
	{"name", RULE_FILE_NAME},
	{"content", RULE_ANY},
	{"document_id", RULE_ID},
	{"kind", RULE_CODE,
		.list = "diploma, diploma-supplement, transcript, credential, nomination-letter, learning-agreement, "
			"enrolment-certificate, agreement, evidence"},
};
static const struct relation attachment_relations[] = {
	{&one_form, NULL, "either content or documentId", "content", "documentId", NULL},
	{&content_fits, "content", "bytes of the size and digest given", "content", "digest", "size"},
	{NULL},
};
static SET(rules_attachment, attachment, attachment_relations);

static const struct rule rules_grading_fields[] = {TEXTS_NEEDED("label"), TEXTS("description")};
static SET(rules_grading, grading_scheme, NULL);

static const struct rule rules_category_fields[] = {{"label", RULE_LINE}, {"count", RULE_ANY}};
static SET(rules_category, result_category, NULL);

static const struct rule rules_distribution_fields[] = {
	{"categories", RULE_MESSAGE, .min = 1, .set = &rules_category}, TEXTS("description")};
static SET(rules_distribution, result_distribution, NULL);

#define DELIVERY "on-campus, online, hybrid, blended, coil"

static const struct rule rules_run_fields[] = {
	{"run_id", RULE_ID},
	{"start", RULE_DATE},
	{"end", RULE_DATE},
	{"term", RULE_MESSAGE, .set = &rules_term},
	{"language", RULE_LANGUAGE},
	CREDITS("credits"),
	{"grading_scheme", RULE_MESSAGE, .set = &rules_grading},
	{"results", RULE_MESSAGE, .set = &rules_distribution},
	{"engagement_hours", RULE_DECIMAL},
	STATUS("status", "announced, open, full, closed, cancelled"),
	{"places", RULE_ANY},
	{"enrol_from", RULE_DATE},
	{"enrol_until", RULE_DATE},
	{"delivery_mode", RULE_CODE, .list = DELIVERY},
};
static const struct relation run_relations[] = {IN_ORDER("start", "end"), IN_ORDER("enrolFrom", "enrolUntil"), {NULL}};
static SET(rules_run, course_run, run_relations);

static const struct rule rules_course_partner_fields[] = {{"hei_id", RULE_HANDLE}, {"course_id", RULE_ID},
	{"role", RULE_CODE, .list = "coordinator, teaching, recognising"}};
static SET(rules_course_partner, course_partner, NULL);

static const struct rule rules_course_fields[] = {
	{"course_id", RULE_ID},
	{"code", RULE_LINE},
	TEXTS_NEEDED("title"),
	{"kind", RULE_CODE, .list = "course, module, class, programme"},
	{"ounit_id", RULE_ID},
	{"isced_f", RULE_ISCED_F},
	{"erasmus_subject_area", RULE_LINE},
	{"eqf_level", RULE_EQF},
	TEXTS("description"),
	{"urls", RULE_MESSAGE, .set = &rules_link},
	CREDITS("credits"),
	{"runs", RULE_MESSAGE, .set = &rules_run},
	{"contains", RULE_ID},
	{"partners", RULE_MESSAGE, .set = &rules_course_partner},
	TEXTS("learning_outcomes"),
	{"delivery_mode", RULE_CODE, .list = DELIVERY},
	TEXTS("prerequisites"),
};
static const struct relation course_relations[] = {
	{&distinct, "credits", "each scheme once", "credits.scheme", NULL, NULL},
	{NULL},
};
SET(rules_course, course_offering, course_relations);

static const struct rule rules_programme_partner_fields[] = {
	INSTITUTION("institution"),
	{"country", RULE_COUNTRY},
	{"role", RULE_CODE, .list = "full, associated"},
	{"awards_degree", RULE_ANY},
	{"local_code", RULE_LINE},
	{"joined", RULE_DATE},
	{"left", RULE_DATE},
};
static const struct relation partner_relations[] = {IN_ORDER("joined", "left"), {NULL}};
static SET(rules_programme_partner, programme_partner, partner_relations);

static const struct rule rules_accreditation_fields[] = {
	{"agency", RULE_LINE},
	{"reference", RULE_LINE},
	{"scheme", RULE_CODE, .list = "european-approach, programme, institutional"},
	{"decided", RULE_DATE},
	{"valid_until", RULE_DATE},
	{"url", RULE_URL},
};
static const struct relation accreditation_relations[] = {IN_ORDER("decided", "validUntil"), {NULL}};
static SET(rules_accreditation, accreditation, accreditation_relations);

static const struct rule rules_programme_fields[] = {
	{"programme_id", RULE_ID},
	{"code", RULE_LINE},
	TEXTS_NEEDED("title"),
	INSTITUTION("coordinator"),
	{"partners", RULE_MESSAGE, .min = 1, .max = VALUES_MAX, .set = &rules_programme_partner},
	STATUS("status", "proposed, agreed, running, ending, closed"),
	{"eqf_level", RULE_EQF},
	{"isced_f", RULE_ISCED_F},
	{"degree_type", RULE_CODE, .list = "joint, double, multiple, none"},
	CREDITS("credits"),
	{"duration_months", RULE_ANY},
	{"languages", RULE_LANGUAGE},
	COURSES("courses"),
	TEXTS("description"),
	TEXTS("mobility"),
	{"urls", RULE_MESSAGE, .set = &rules_link},
	{"first_academic_year", RULE_ACADEMIC_YEAR},
	{"last_academic_year", RULE_ACADEMIC_YEAR},
	{"accreditations", RULE_MESSAGE, .set = &rules_accreditation},
	ATTACHMENT("agreement"),
};
static const struct relation programme_relations[] = {
	IN_ORDER("firstAcademicYear", "lastAcademicYear"),
	{&distinct, "partners", "each university once", "partners.institution.heiId", NULL, NULL},
	{NULL},
};
SET(rules_programme, joint_programme, programme_relations);

static const struct rule rules_enrolment_result_fields[] = {
	{"state", RULE_CODE, .list = "in-progress, postponed, completed"},
	{"outcome", RULE_CODE, .list = "unknown, passed, failed"},
	{"grade", RULE_LINE},
	CREDITS("credits"),
	{"date", RULE_DATE},
};
static SET(rules_enrolment_result, enrolment_result, NULL);

static const struct rule rules_enrolment_fields[] = {
	{"enrolment_id", RULE_ID},
	PERSON("student"),
	INSTITUTION("home"),
	INSTITUTION("host"),
	{"course_id", RULE_ID},
	{"run_id", RULE_ID},
	{"programme_id", RULE_ID},
	{"academic_year", RULE_ACADEMIC_YEAR},
	{"term", RULE_TERM},
	STATUS("home_state", "requested, cancelled, active, finished"),
	STATUS("host_state", "pending, associated, denied, queued, cancelled, finished"),
	{"home_local_id", RULE_ID},
	{"host_local_id", RULE_ID},
	{"eqf_level", RULE_EQF},
	{"isced_f", RULE_ISCED_F},
	LANGUAGES("language_skills"),
	TEXTS("comment"),
	{"result", RULE_MESSAGE, .set = &rules_enrolment_result},
};
static const struct relation enrolment_relations[] = {
	{&differ, "host", "another university than the home one", "home.heiId", "host.heiId", NULL},
	{&any_of, NULL, "at least one of courseId and programmeId", "courseId", "programmeId", NULL},
	{NULL},
};
SET(rules_enrolment, enrolment, enrolment_relations);

static const struct rule rules_agreement_partner_fields[] = {
	{"hei_id", RULE_HANDLE},
	{"ounit_id", RULE_ID},
	{"local_id", RULE_ID},
	{"code", RULE_LINE},
	{"signing_contact", RULE_MESSAGE, .set = &rules_contact},
	{"signing_date", RULE_DATE},
	{"contacts", RULE_MESSAGE, .set = &rules_contact},
};
static SET(rules_agreement_partner, agreement_partner, NULL);

static const struct rule rules_subject_area_fields[] = {{"isced_f", RULE_ISCED_F}, {"clarification", RULE_LINE}};
static SET(rules_subject_area, subject_area, NULL);

static const struct rule rules_condition_fields[] = {
	{"kind", RULE_CODE, .list = "student-studies, student-traineeship, staff-teacher, staff-training"},
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"first_academic_year", RULE_ACADEMIC_YEAR},
	{"last_academic_year", RULE_ACADEMIC_YEAR},
	{"mobilities_per_year", RULE_ANY},
	LANGUAGES("language_skills"),
	{"subject_areas", RULE_MESSAGE, .set = &rules_subject_area},
	{"other_terms", RULE_TEXT},
	{"months_per_year", RULE_DECIMAL},
	{"days_per_year", RULE_DECIMAL},
	{"blended", RULE_ANY},
	{"eqf_levels", RULE_EQF},
};
static const struct relation condition_relations[] = {
	TWO_SIDES, IN_ORDER("firstAcademicYear", "lastAcademicYear"), {NULL}};
static SET(rules_condition, agreement_condition, condition_relations);

static const struct rule rules_agreement_fields[] = {
	{"agreement_id", RULE_ID},
	{"partners", RULE_MESSAGE, .min = 2, .max = 2, .set = &rules_agreement_partner},
	STATUS("status", "proposed, in-effect, terminated"),
	{"in_effect", RULE_ANY},
	{"terminated_as_a_whole", RULE_ANY},
	{"conditions", RULE_MESSAGE, .min = 1, .set = &rules_condition},
	ATTACHMENT("document"),
};
static const struct relation agreement_relations[] = {
	{&distinct, "partners", "each university once", "partners.heiId", NULL, NULL}, {NULL}};
SET(rules_agreement, agreement, agreement_relations);

static const struct rule rules_nomination_fields[] = {
	{"mobility_id", RULE_ID},
	PERSON("student"),
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"proposal_id", RULE_ID},
	{"sending_term", RULE_TERM},
	{"non_standard_period", RULE_ANY},
	{"receiving_academic_year", RULE_ACADEMIC_YEAR},
	{"activity_type", RULE_CODE, .list = "student-studies, student-traineeship"},
	{"activity_attributes", RULE_CODE, .list = "long-term, short-term-blended, short-term-doctoral"},
	{"agreement_isced_f", RULE_ISCED_F},
	{"student_isced_f", RULE_ISCED_F},
	{"eqf_level", RULE_EQF},
	TEXTS("comment"),
	STATUS("status", "pending, approved, rejected, cancelled, recognised"),
	{"planned_start", RULE_DATE},
	{"planned_end", RULE_DATE},
};
static const struct relation nomination_relations[] = {TWO_SIDES, IN_ORDER("plannedStart", "plannedEnd"), {NULL}};
SET(rules_nomination, nomination, nomination_relations);

static const struct rule rules_component_fields[] = {
	{"course_id", RULE_ID},
	{"code", RULE_LINE},
	TEXTS_NEEDED("title"),
	{"run_id", RULE_ID},
	{"term", RULE_TERM},
	CREDITS("credits"),
	TEXTS("recognition_conditions"),
	TEXTS("description"),
	{"change", RULE_CODE, .list = "inserted, deleted"},
	{"reason_code", RULE_CODE,
		.list = "not-available, language-mismatch, timetable-conflict, substituting-deleted, "
			"extending-mobility, adding-virtual-component"},
	TEXTS("reason"),
};
static SET(rules_component, component, NULL);

static const struct rule rules_signature_fields[] = {
	{"party", RULE_ONE_OF, .list = "student, sending, receiving"},
	{"time", RULE_TIME},
	{"name", RULE_LINE},
	{"position", RULE_LINE},
	{"email", RULE_EMAIL},
	{"application", RULE_LINE},
};
static SET(rules_signature, signature, NULL);

static const struct rule rules_learning_fields[] = {
	{"mobility_id", RULE_ID},
	PERSON("student"),
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"receiving_academic_year", RULE_ACADEMIC_YEAR},
	{"start", RULE_DATE},
	{"end", RULE_DATE},
	{"eqf_level", RULE_EQF},
	{"isced_f", RULE_ISCED_F},
	{"isced_clarification", RULE_LINE},
	LANGUAGES("language_skills"),
	{"proposal_id", RULE_ID},
	STATUS("status", "first-version, changes-proposed, approved-changes"),
	COMPONENTS("studied"),
	COMPONENTS("recognised"),
	COMPONENTS("virtual"),
	COMPONENTS("blended"),
	COMPONENTS("doctoral"),
	{"learning_outcomes_url", RULE_URL},
	{"provisions_url", RULE_URL},
	{"signatures", RULE_MESSAGE, .set = &rules_signature},
	TEXTS("comment"),
	ATTACHMENT("document"),
};
static const struct relation learning_relations[] = {TWO_SIDES, IN_ORDER("start", "end"), {NULL}};
SET(rules_learning, learning_agreement, learning_relations);

static const struct rule rules_stay_fields[] = {
	{"mobility_id", RULE_ID},
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"student", RULE_PERSON},
	{"arrival", RULE_DATE},
	{"departure", RULE_DATE},
	STATUS("status", "arrived, departed, no-show, interrupted"),
	{"certified", RULE_ANY},
};
static const struct relation stay_relations[] = {
	TWO_SIDES,
	IN_ORDER("arrival", "departure"),
	{&any_of, NULL, "at least one of arrival, departure and status", "arrival", "departure", "status"},
	{NULL},
};
SET(rules_stay, stay, stay_relations);

static const struct rule rules_recognition_fields[] = {
	{"outcome", RULE_CODE, .list = "positive, negative, partial"},
	COURSES("courses"),
	CREDITS("credits"),
	{"grade", RULE_LINE},
	TEXTS("reason"),
};
static SET(rules_recognition, recognition, NULL);

static const struct rule rules_result_fields[] = {
	{"course_id", RULE_ID},
	{"code", RULE_LINE},
	TEXTS_NEEDED("title"),
	{"run_id", RULE_ID},
	{"term", RULE_TERM},
	{"start", RULE_DATE},
	{"end", RULE_DATE},
	CREDITS("credits"),
	{"outcome", RULE_CODE, .list = "passed, failed, in-progress"},
	{"grade", RULE_LINE},
	{"grading_scheme", RULE_MESSAGE, .set = &rules_grading},
	{"distribution", RULE_MESSAGE, .set = &rules_distribution},
	{"isced_f", RULE_ISCED_F},
	{"language", RULE_LANGUAGE},
	{"engagement_hours", RULE_DECIMAL},
	{"recognition", RULE_MESSAGE, .set = &rules_recognition},
};
static SET(rules_result, result, start_end);

static const struct rule rules_frequency_fields[] = {{"label", RULE_LINE}, {"percentage", RULE_DECIMAL}};
static SET(rules_frequency, grade_frequency, NULL);

static const struct rule rules_grade_table_fields[] = {
	{"isced_f", RULE_ISCED_F}, {"grades", RULE_MESSAGE, .min = 1, .set = &rules_frequency}};
static SET(rules_grade_table, grade_table, NULL);

static const struct rule rules_transcript_fields[] = {
	{"mobility_id", RULE_ID},
	PERSON("student"),
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"issuer", RULE_HANDLE},
	{"receiving_academic_year", RULE_ACADEMIC_YEAR},
	{"issued", RULE_DATE},
	{"results", RULE_MESSAGE, .set = &rules_result},
	{"grade_tables", RULE_MESSAGE, .set = &rules_grade_table},
	STATUS("status", "provisional, final, corrected, recognised"),
	ATTACHMENT("document"),
};
static const struct relation transcript_relations[] = {
	TWO_SIDES,
	{&either, "issuer", "the sending or the receiving university", "sending.heiId", "receiving.heiId", "issuer"},
	{NULL},
};
SET(rules_transcript, transcript, transcript_relations);

static const struct rule rules_staff_fields[] = {
	{"mobility_id", RULE_ID},
	PERSON("staff"),
	INSTITUTION("sending"),
	INSTITUTION("receiving"),
	{"activity_type", RULE_CODE, .list = "staff-teacher, staff-training"},
	{"academic_year", RULE_ACADEMIC_YEAR},
	{"start", RULE_DATE},
	{"end", RULE_DATE},
	{"days", RULE_DECIMAL},
	{"teaching_hours", RULE_DECIMAL},
	{"isced_f", RULE_ISCED_F},
	{"eqf_level", RULE_EQF},
	{"language", RULE_LANGUAGE},
	TEXTS("programme"),
	TEXTS("position"),
	{"blended", RULE_ANY},
	STATUS("status", "proposed, confirmed, completed, cancelled"),
	TEXTS("comment"),
};
SET(rules_staff, staff_mobility, learning_relations);

static const struct rule rules_credential_fields[] = {
	{"credential_id", RULE_ID},
	PERSON("holder"),
	INSTITUTION("issuer"),
	{"awarding_bodies", RULE_HANDLE},
	{"kind", RULE_CODE, .list = "micro-credential, diploma, transcript, enrolment-proof"},
	TEXTS_NEEDED("title"),
	{"country", RULE_COUNTRY},
	{"issued", RULE_DATE},
	{"valid_from", RULE_DATE},
	{"valid_until", RULE_DATE},
	TEXTS("learning_outcomes"),
	CREDITS("credits"),
	{"workload_hours", RULE_DECIMAL},
	{"eqf_level", RULE_EQF},
	{"isced_f", RULE_ISCED_F},
	{"assessment", RULE_CODE, .list = "exam, portfolio, project, presentation, none"},
	{"participation", RULE_CODE, .list = "on-site, online, blended"},
	TEXTS("quality_assurance"),
	TEXTS("prerequisites"),
	{"supervision", RULE_CODE, .list = "none, unsupervised, supervised-online, supervised-on-site"},
	{"grade", RULE_LINE},
	{"stackability", RULE_CODE, .list = "standalone, integrated, stackable"},
	COURSES("courses"),
	{"programme_id", RULE_ID},
	STATUS("status", "issued, suspended, revoked"),
	ATTACHMENT("document"),
	{"revocation_reason", RULE_CODE, .list = "error, fraud, superseded, holder"},
};
static const struct relation credential_relations[] = {IN_ORDER("validFrom", "validUntil"), {NULL}};
SET(rules_credential, credential, credential_relations);

static const struct rule rules_label_partner_fields[] = {{"hei_id", RULE_HANDLE}, {"country", RULE_COUNTRY}};
static SET(rules_label_partner, label_partner, NULL);

static const struct rule rules_criterion_fields[] = {
	{"criterion_id", RULE_ID},
	{"outcome", RULE_CODE, .list = "met, not-met, evidence-pending, not-assessed"},
	{"measured", RULE_DECIMAL},
	{"unit", RULE_CODE, .list = "ects, days, months, institutions, languages, countries"},
	TEXTS("evidence"),
	COURSES("courses"),
	{"references", RULE_MESSAGE, .set = &rules_link},
};
static SET(rules_criterion, criterion_outcome, NULL);

static const struct rule rules_assessment_fields[] = {
	{"assessment_id", RULE_ID},
	{"programme_id", RULE_ID},
	INSTITUTION("coordinator"),
	{"partners", RULE_MESSAGE, .min = 2, .max = VALUES_MAX, .set = &rules_label_partner},
	{"eqf_level", RULE_EQF},
	{"rule_set", RULE_ID},
	{"legal_reference", RULE_LINE},
	{"criteria", RULE_MESSAGE, .min = 1, .set = &rules_criterion},
	{"outcome", RULE_CODE, .list = "eligible, not-eligible, pending"},
	{"assessed", RULE_DATE},
	{"valid_until", RULE_DATE},
	{"body", RULE_LINE},
};
static const struct relation assessment_relations[] = {
	IN_ORDER("assessed", "validUntil"),
	{&distinct, "partners", "each university once", "partners.heiId", NULL, NULL},
	{NULL},
};
SET(rules_assessment, programme_assessment, assessment_relations);

static const struct rule rules_period_fields[] = {
	{"hei_id", RULE_HANDLE},
	{"form", RULE_CODE, .list = "physical, virtual, blended"},
	{"start", RULE_DATE},
	{"end", RULE_DATE},
	{"days", RULE_ANY},
	CREDITS("credits"),
	{"mobility_id", RULE_ID},
};
static SET(rules_period, mobility_period, start_end);

static const struct rule rules_partner_credit_fields[] = {
	{"hei_id", RULE_HANDLE}, {"credits", RULE_MESSAGE, .min = 1, .set = &rules_credit}};
static SET(rules_partner_credit, partner_credit, NULL);

static const struct rule rules_eligibility_fields[] = {
	{"eligibility_id", RULE_ID},
	PERSON("learner"),
	INSTITUTION("assessor"),
	{"programme_id", RULE_ID},
	{"rule_set", RULE_ID},
	{"legal_reference", RULE_LINE},
	{"periods", RULE_MESSAGE, .set = &rules_period},
	{"credits", RULE_MESSAGE, .set = &rules_partner_credit},
	LANGUAGES("languages"),
	{"criteria", RULE_MESSAGE, .set = &rules_criterion},
	{"outcome", RULE_CODE, .list = "eligible, not-eligible, pending, awarded"},
	{"assessed", RULE_DATE},
};
SET(rules_eligibility, learner_eligibility, NULL);

static const struct rule rules_decision_fields[] = {
	{"source", RULE_HANDLE},
	{"topic", RULE_TOPIC},
	{"subject", RULE_SUBJECT},
	{"revision", RULE_POSITIVE},
	{"digest", RULE_DIGEST},
	{"verdict", RULE_ONE_OF, .list = "approve, reject, comment"},
	TEXTS("comment"),
	{"status", RULE_MESSAGE, .set = &rules_status},
	{"contact", RULE_MESSAGE, .set = &rules_contact},
	{"local_id", RULE_ID},
};
static const struct relation decision_relations[] = {
	{&explained, "comment", "required when the verdict is reject or comment", "verdict", "comment", NULL}, {NULL}};
SET(rules_decision, decision, decision_relations);

static const struct rule rules_withdrawal_fields[] = {
	{"topic", RULE_TOPIC},
	{"revision", RULE_POSITIVE},
	{"reason", RULE_CODE, .list = "cancelled, error, superseded, ended, other"},
	TEXTS("comment"),
};
SET(rules_withdrawal, withdrawal, NULL);

static const struct rule rules_correction_fields[] = {
	{"correction_id", RULE_ID},
	PERSON("person"),
	{"subjects", RULE_SUBJECT},
	{"since", RULE_DATE},
	TEXTS("comment"),
};
SET(rules_correction, correction, NULL);

static const struct rule rules_erasure_fields[] = {
	{"erasure_id", RULE_ID},
	{"person", RULE_PERSON},
	{"sequences", RULE_POSITIVE, .min = 1},
	{"reason", RULE_CODE, .list = "request, objection, unlawful, term-over, error"},
};
SET(rules_erasure, erasure, NULL);

static const struct rule rules_document_part_fields[] = {
	{"document_id", RULE_ID},
	{"number", RULE_POSITIVE},
	{"total", RULE_POSITIVE},
	{"content", RULE_PIECE},
	{"digest", RULE_DIGEST},
	{"persons", RULE_PERSON, .max = PERSONS_MAX},
};
static const struct relation document_relations[] = {
	{&not_above, "number", "not above total", "number", "total", NULL}, {NULL}};
SET(rules_document_part, document_part, document_relations);

static const struct rule rules_checkpoint_fields[] = {
	{"node", RULE_HANDLE}, {"time", RULE_TIME}, {"anchors", RULE_DIGEST}};
SET(rules_checkpoint, checkpoint, NULL);

static const struct rule rules_act_fields[] = {
	{"act_id", RULE_ID},
	{"act", RULE_CODE},
	{"result", RULE_CODE, .list = "done, known, refused"},
	{"uid", RULE_ANY},
	{"user", RULE_LINE},
	{"object", RULE_LINE},
	{"reason", RULE_LINE},
};
SET(rules_act, act, NULL);
