#include "core/rule.h"

#include "core/handle.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/wire.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	FIELDS_OF_MESSAGE_MAX = 40, /* a unit test walks them all */
	RULE_TEXT_MAX = 1024,
	PLACE_MAX = 256,
};

/* ---- Checks of one value ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_letter(char c)
{
	return is_upper(c) || (c >= 'a' && c <= 'z');
}

static bool is_letter_or_digit(char c)
{
	return is_letter(c) || is_digit(c);
}

static bool is_visible(char c)
{
	return c > 0x20 && c < 0x7f;
}

static bool is_code(char c)
{
	return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-';
}

/* Whether there are `min` to `max` characters, all of the class. */
static bool all(const char *s, size_t len, size_t min, size_t max, bool (*class)(char))
{
	if (len < min || len > max)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!class(s[i]))
			return false;
	return true;
}

/* Whether the text has this shape: # a digit, A a capital letter, all else itself. */
static bool shaped(const char *shape, const char *s, size_t len)
{
	if (strlen(shape) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (shape[i] == '#' ? !is_digit(s[i]) : shape[i] == 'A' ? !is_upper(s[i]) : s[i] != shape[i])
			return false;
	return true;
}

static unsigned number(const char *s, size_t len)
{
	unsigned v = 0;

	for (size_t i = 0; i < len; i++)
		v = 10 * v + (unsigned)(s[i] - '0');
	return v;
}

/* Takes a prefix off. */
static bool take(const char *prefix, const char **s, size_t *len)
{
	size_t n = strlen(prefix);

	if (*len < n || memcmp(*s, prefix, n) != 0)
		return false;
	*s += n;
	*len -= n;
	return true;
}

static bool check_any(const char *s, size_t len)
{
	return true;
}

static bool check_id(const char *s, size_t len)
{
	return all(s, len, 1, ID_MAX, is_visible);
}

static bool check_code(const char *s, size_t len)
{
	return all(s, len, 1, ID_MAX, is_code);
}

/* How many bytes at the front, in steps of eight, hold no control character: most of nearly every text. A byte without its highest bit
 * overflows into it at 0x20 when 0x60 is added, and at 0x7f when 1 is. */
static size_t plain_bytes(const char *s, size_t len)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = 0x80 * ones;
	uint64_t word, low;
	size_t n = 0;

	for (; len - n >= sizeof word; n += sizeof word) {
		memcpy(&word, s + n, sizeof word);
		low = word & ~high;
		if (((((low + 0x60 * ones) & ~(low + ones)) | word) & high) != high)
			break;
	}
	return n;
}

/* Control characters have no place in what is shown to people and written to databases. */
static bool check_text(const char *s, size_t len)
{
	for (size_t i = plain_bytes(s, len); i < len; i++)
		if (s[i] == 0x7f || (s[i] >= 0 && s[i] < 0x20 && s[i] != '\t' && s[i] != '\n' && s[i] != '\r'))
			return false;
	return true;
}

static bool check_line(const char *s, size_t len)
{
	for (size_t i = plain_bytes(s, len); i < len; i++)
		if (s[i] == 0x7f || (s[i] >= 0 && s[i] < 0x20))
			return false;
	return true;
}

/* The form alone: which subtags there are changes with their registry. */
static bool check_language(const char *s, size_t len)
{
	const char *end = s + len;
	bool first = true;

	for (;;) {
		const char *dash = memchr(s, '-', (size_t)(end - s));
		size_t n = (size_t)((dash == NULL ? end : dash) - s);

		if (first ? !all(s, n, 2, 8, is_letter) : !all(s, n, 1, 8, is_letter_or_digit))
			return false;
		if (dash == NULL)
			return true;
		s = dash + 1;
		first = false;
	}
}

static bool month_valid(const char *s)
{
	unsigned month = number(s, 2);

	return month >= 1 && month <= 12;
}

static bool day_valid(const char *s)
{
	static const unsigned days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	unsigned year = number(s, 4), month = number(s + 5, 2), day = number(s + 8, 2);
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month_valid(s + 5) && day >= 1 && day <= days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool check_date(const char *s, size_t len)
{
	if (shaped("####-##-##", s, len))
		return day_valid(s);
	if (shaped("####-##", s, len))
		return month_valid(s + 5);
	return shaped("####", s, len);
}

static bool check_time(const char *s, size_t len)
{
	if (len < 20 || !shaped("####-##-##T##:##:##", s, 19) || !day_valid(s) || s[len - 1] != 'Z')
		return false;
	if (number(s + 11, 2) > 23 || number(s + 14, 2) > 59 || number(s + 17, 2) > 59)
		return false;
	return len == 20 || (s[19] == '.' && all(s + 20, len - 21, 1, 9, is_digit));
}

static bool check_decimal(const char *s, size_t len)
{
	const char *point = memchr(s, '.', len);
	size_t whole = point == NULL ? len : (size_t)(point - s);

	if (!all(s, whole, 1, 9, is_digit))
		return false;
	return point == NULL || all(point + 1, len - whole - 1, 1, 6, is_digit);
}

static bool check_isced_f(const char *s, size_t len)
{
	return shaped("####", s, len);
}

static bool check_eqf(const char *s, size_t len)
{
	return len == 1 && s[0] >= '1' && s[0] <= '8';
}

static bool check_cefr(const char *s, size_t len)
{
	if (len != 2)
		return false;
	return (s[0] >= 'A' && s[0] <= 'C' && s[1] >= '1' && s[1] <= '2') || (s[0] == 'N' && s[1] == 'S');
}

static bool check_country(const char *s, size_t len)
{
	return shaped("AA", s, len);
}

static bool check_academic_year(const char *s, size_t len)
{
	return shaped("####/####", s, len) && number(s, 4) + 1 == number(s + 5, 4);
}

static bool check_term(const char *s, size_t len)
{
	return shaped("####/####-#/#", s, len) && check_academic_year(s, 9) && s[10] >= '1' && s[10] <= s[12];
}

static bool check_handle(const char *s, size_t len)
{
	char copy[HANDLE_MAX + 1];

	if (len > HANDLE_MAX)
		return false;
	memcpy(copy, s, len);
	copy[len] = '\0';
	return handle_valid(copy);
}

/* SCOPE:CODE, as both kinds of schac codes end. */
static bool check_scoped(const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len);
	size_t scope;

	if (colon == NULL)
		return false;
	scope = (size_t)(colon - s);
	return all(s, scope, 2, 253, is_code) && all(colon + 1, len - scope - 1, 1, ID_MAX, is_visible);
}

static bool check_esi(const char *s, size_t len)
{
	return take("urn:schac:personalUniqueCode:int:esi:", &s, &len) && check_scoped(s, len);
}

static bool check_alliance_id(const char *s, size_t len)
{
	return take("urn:schac:europeanUniversityAllianceCode:int:euai:", &s, &len) && check_scoped(s, len);
}

static bool check_person_id(const char *s, size_t len)
{
	const char *colon = memchr(s, ':', len);

	return colon != NULL && check_handle(s, (size_t)(colon - s)) && check_scoped(s, len);
}

static bool check_person(const char *s, size_t len)
{
	return check_esi(s, len) || check_alliance_id(s, len) || check_person_id(s, len);
}

static bool check_email(const char *s, size_t len)
{
	const char *at = memchr(s, '@', len);

	if (at == NULL || at == s || at + 1 == s + len)
		return false;
	return memchr(at + 1, '@', (size_t)(s + len - at - 1)) == NULL && memchr(s, ' ', len) == NULL &&
	       check_line(s, len);
}

static bool check_url(const char *s, size_t len)
{
	if (!take("https://", &s, &len) && !take("http://", &s, &len))
		return false;
	return len > 0 && memchr(s, ' ', len) == NULL && check_line(s, len);
}

static bool check_media_type(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);

	return slash != NULL && slash != s && slash + 1 != s + len && check_line(s, len) &&
	       memchr(slash + 1, '/', (size_t)(s + len - slash - 1)) == NULL;
}

static bool check_file_name(const char *s, size_t len)
{
	return check_line(s, len) && memchr(s, '/', len) == NULL && memchr(s, '\\', len) == NULL && s[0] != '.';
}

static bool check_topic(const char *s, size_t len)
{
	const char *point = memchr(s, '.', len);

	return point != NULL && point != s && point + 1 != s + len && all(s, len, 3, ID_MAX, is_code);
}

static bool check_subject(const char *s, size_t len)
{
	const char *slash = memchr(s, '/', len);

	if (slash == NULL || len > SUBJECT_MAX)
		return false;
	return all(s, (size_t)(slash - s), 1, 32, is_code) && check_id(slash + 1, (size_t)(s + len - slash - 1));
}

#define LABEL "[a-z0-9]([a-z0-9-]*[a-z0-9])?"
#define SCOPED "[A-Za-z0-9._-]{2,253}:[!-~]{1,64}"
#define DATE "[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?"
#define DAY "[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"

/* Lengths are checked from here. The patterns are for other programs: a test holds them against the checks. */
static const struct rule_form kinds[RULE_KINDS] = {
	[RULE_ANY] = {"any", check_any, NULL, NULL, 0, 0, ""},
	[RULE_MESSAGE] = {"message", check_any, NULL, NULL, 0, 0, ""},
	[RULE_ID] = {"id", check_id, "[!-~]{1,64}", NULL, 1, ID_MAX, "1 to 64 characters of [!-~]"},
	[RULE_CODE] = {"code", check_code, "[A-Za-z0-9._-]{1,64}", NULL, 1, ID_MAX,
		"a code: 1 to 64 characters of [A-Za-z0-9._-]"},
	[RULE_ONE_OF] = {"one-of", check_any, NULL, NULL, 0, 0, "one of the list"},
	[RULE_LINE] = {"line", check_line, "[^\\x00-\\x1f\\x7f]+", NULL, 1, 1000,
		"text of one line, not empty, at most 1000 bytes, without control characters"},
	[RULE_TEXT] = {"text", check_text, "[^\\x00-\\x08\\x0b\\x0c\\x0e-\\x1f\\x7f]+", NULL, 1, 32 * 1024,
		"text, not empty, at most 32 KiB, without control characters but line ends and tabs"},
	[RULE_LANGUAGE] = {"language", check_language, "[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*", NULL, 2, 35,
		"a language tag (BCP 47)"},
	[RULE_DATE] = {"date", check_date, DATE, "day", 4, 10, "a date that exists: YYYY, YYYY-MM or YYYY-MM-DD"},
	[RULE_TIME] = {"time", check_time, DAY "T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z", "day", 20,
		30, "a time in UTC: YYYY-MM-DDThh:mm:ssZ, with up to nine decimals of a second"},
	[RULE_DECIMAL] = {"decimal", check_decimal, "[0-9]{1,9}(\\.[0-9]{1,6})?", NULL, 1, 16,
		"a decimal as text, without sign and exponent: 6 or 6.00"},
	[RULE_ISCED_F] = {"isced-f", check_isced_f, "[0-9]{4}", NULL, 4, 4, "four digits (ISCED-F 2013)"},
	[RULE_EQF] = {"eqf", check_eqf, "[1-8]", NULL, 1, 1, "1 to 8 (EQF)"},
	[RULE_CEFR] = {"cefr", check_cefr, "[A-C][12]|NS", NULL, 2, 2, "A1, A2, B1, B2, C1, C2 or NS (CEFR)"},
	[RULE_COUNTRY] = {"country", check_country, "[A-Z]{2}", NULL, 2, 2, "two capital letters (ISO 3166-1)"},
	[RULE_ACADEMIC_YEAR] = {"academic-year", check_academic_year, "[0-9]{4}/[0-9]{4}", "years", 9, 9,
		"an academic year, two years in a row: 2026/2027"},
	[RULE_TERM] = {"term", check_term, "[0-9]{4}/[0-9]{4}-[1-9]/[1-9]", "years, part", 13, 13,
		"a term, the first of two for example: 2026/2027-1/2"},
	[RULE_HANDLE] = {"handle", check_handle, LABEL "(\\." LABEL ")+", NULL, 3, HANDLE_MAX,
		"a university's domain in lower case: ugent.be"},
	[RULE_ESI] = {"esi", check_esi, "urn:schac:personalUniqueCode:int:esi:" SCOPED, NULL, 1, PERSON_MAX,
		"urn:schac:personalUniqueCode:int:esi:SCOPE:CODE (European Student Identifier)"},
	[RULE_ALLIANCE_ID] = {"alliance-id", check_alliance_id,
		"urn:schac:europeanUniversityAllianceCode:int:euai:" SCOPED, NULL, 1, PERSON_MAX,
		"urn:schac:europeanUniversityAllianceCode:int:euai:SCOPE:CODE"},
	[RULE_PERSON_ID] = {"person-id", check_person_id, "[a-z0-9.-]{3,63}:[!-~]{1,64}", "handle", 1, PERSON_MAX,
		"HANDLE:CODE, where CODE is what that university calls the person"},
	[RULE_PERSON] = {"person", check_person, NULL, "person", 1, PERSON_MAX,
		"an identifier of a person: as in esi, allianceId or personId"},
	[RULE_EMAIL] = {"email", check_email, "[^\\x00-\\x20\\x7f@]+@[^\\x00-\\x20\\x7f@]+", NULL, 3, 254,
		"an address NAME@DOMAIN"},
	[RULE_URL] = {"url", check_url, "https?://[^\\x00-\\x20\\x7f]+", NULL, 1, 2000,
		"an address beginning with https:// or http://, at most 2000 bytes"},
	[RULE_MEDIA_TYPE] = {"media-type", check_media_type, "[^\\x00-\\x1f\\x7f/]+/[^\\x00-\\x1f\\x7f/]+", NULL, 3,
		255, "a media type: application/pdf"},
	[RULE_FILE_NAME] = {"file-name", check_file_name, "[^\\x00-\\x1f\\x7f/\\\\.][^\\x00-\\x1f\\x7f/\\\\]*", NULL, 1,
		200, "a file name without path, not beginning with a dot, at most 200 bytes"},
	[RULE_TOPIC] = {"topic", check_topic, "[A-Za-z0-9_-]+\\.[A-Za-z0-9._-]+", NULL, 3, ID_MAX,
		"the name of a topic: mobility.nomination"},
	[RULE_SUBJECT] = {"subject", check_subject, "[A-Za-z0-9._-]{1,32}/[!-~]{1,64}", NULL, 3, SUBJECT_MAX,
		"FAMILY/ID, the ID of 1 to 64 characters of [!-~]"},
	[RULE_DIGEST] = {"digest", check_any, NULL, NULL, DIGEST_LEN, DIGEST_LEN, "32 bytes (BLAKE2b-256)"},
	[RULE_PIECE] = {"piece", check_any, NULL, NULL, 1, 128 * 1024, "1 to 131072 bytes"},
	[RULE_POSITIVE] = {"positive", check_any, NULL, NULL, 0, 0, "1 or more"},
};

const struct rule_form *rule_form(enum rule_kind kind)
{
	return &kinds[kind];
}

bool rule_holds(enum rule_kind kind, const char *s, size_t len)
{
	const struct rule_form *f = &kinds[kind];

	return len >= f->min_bytes && (f->max_bytes == 0 || len <= f->max_bytes) && f->check(s, len);
}

const char *rule_text(enum rule_kind kind)
{
	return kinds[kind].text;
}

static bool listed(const char *list, struct bytes value)
{
	while (*list != '\0') {
		size_t n = strcspn(list, ",");

		if (bytes_equal(bytes_of(list, n), value))
			return true;
		list += n;
		list += strspn(list, ", ");
	}
	return false;
}

/* ---- Places ---- */

static const ProtobufCFieldDescriptor *field_named(const ProtobufCMessageDescriptor *type, const char *name, size_t len)
{
	for (unsigned i = 0; i < type->n_fields; i++)
		if (json_name_is(type->fields[i].name, name, len))
			return &type->fields[i];
	return NULL;
}

size_t place_values(
	const ProtobufCMessageDescriptor *type, struct bytes message, const char *place, struct bytes *out, size_t max)
{
	size_t len = strcspn(place, "."), n = 0;
	const ProtobufCFieldDescriptor *field = field_named(type, place, len);
	struct wire_field f;

	assert(field != NULL);
	while (wire_next(&message, &f)) {
		if (f.number != field->id)
			continue;
		if (place[len] == '.')
			n += place_values(field->descriptor, f.content, place + len + 1, out + (n < max ? n : max),
				n < max ? max - n : 0);
		else if (n++ < max)
			out[n - 1] = f.counted ? f.content : bytes_of(NULL, 0);
	}
	return n;
}

/* ---- The check ---- */

/* Where the check is, without spending anything on it until a problem must name it. */
struct spot {
	const struct spot *up; /* NULL: the data itself */
	const char *field;
	long index; /* -1: not repeated */
};

struct check {
	const char *at;
	struct problems *problems;
};

static void add_pointer(struct buffer *out, const struct spot *spot)
{
	char name[JSON_NAME_MAX + 1];

	if (spot == NULL)
		return;
	add_pointer(out, spot->up);
	json_name(name, spot->field);
	buffer_printf(out, "/%s", name);
	if (spot->index >= 0)
		buffer_printf(out, "/%ld", spot->index);
}

static void breach(const struct check *c, const struct spot *spot, const char *rule)
{
	struct buffer place = {0};
	const char *text;

	buffer_str(&place, c->at);
	add_pointer(&place, spot);
	text = buffer_cstr(&place);
	problem_add(c->problems, text == NULL ? c->at : text, rule);
	buffer_deinit(&place);
}

/* `out` has RULE_TEXT_MAX bytes. */
static const char *text_of(char *out, const struct rule *rule)
{
	const char *text = rule_text(rule->kind);

	if (rule->list == NULL)
		return text;
	if (rule->kind == RULE_ONE_OF)
		snprintf(out, RULE_TEXT_MAX, "one of %s", rule->list);
	else if (rule->kind == RULE_MESSAGE)
		snprintf(out, RULE_TEXT_MAX, "known codes: %s", rule->list);
	else
		snprintf(out, RULE_TEXT_MAX, "%s; known: %s", text, rule->list);
	return out;
}

static void check_message(
	const struct rule_set *set, struct bytes message, const struct spot *spot, const struct check *c);

static bool value_holds(const struct rule *rule, struct bytes v)
{
	if (rule->kind == RULE_ONE_OF)
		return listed(rule->list, v);
	return rule_holds(rule->kind, (const char *)v.data, v.len);
}

/* Numbers: alone, or many in a row. Gives how many there were. */
static unsigned check_numbers(
	const struct rule *rule, const struct wire_field *f, const struct spot *spot, const struct check *c)
{
	struct bytes rest = f->counted ? f->content : bytes_of(NULL, 0);
	bool zero = !f->counted && f->value == 0;
	unsigned n = f->counted ? 0 : 1;
	uint64_t v;

	for (; wire_number(&rest, &v); n++)
		zero = zero || v == 0;
	if (zero && rule->kind == RULE_POSITIVE)
		breach(c, spot, rule_text(rule->kind));
	return n;
}

static bool is_counted(ProtobufCType type)
{
	return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE;
}

/* One entry of one field. Gives how many values it held. */
static unsigned check_field(const struct rule *rule, const ProtobufCFieldDescriptor *field, const struct wire_field *f,
	const struct spot *spot, const struct check *c)
{
	char text[RULE_TEXT_MAX];

	if (!is_counted(field->type))
		return check_numbers(rule, f, spot, c);
	if (rule->kind == RULE_MESSAGE)
		check_message(rule->set, f->content, spot, c);
	else if (!value_holds(rule, f->content))
		breach(c, spot, text_of(text, rule));
	return 1;
}

static void check_counts(
	const struct rule_set *set, const unsigned *counts, const struct spot *spot, const struct check *c)
{
	char text[RULE_TEXT_MAX];

	for (unsigned i = 0; i < set->type->n_fields; i++) {
		const struct rule *rule = &set->rules[i];
		struct spot inner = {spot, rule->field, -1};

		if (counts[i] >= rule->min && (rule->max == 0 || counts[i] <= rule->max))
			continue;
		if (rule->min == rule->max)
			snprintf(text, sizeof text, "exactly %u entries", rule->min);
		else if (counts[i] < rule->min)
			snprintf(text, sizeof text, "at least %u %s", rule->min, rule->min == 1 ? "entry" : "entries");
		else
			snprintf(text, sizeof text, "at most %u entries", rule->max);
		breach(c, &inner, text);
	}
}

static void check_relations(
	const struct rule_set *set, struct bytes message, const struct spot *spot, const struct check *c)
{
	for (const struct relation *r = set->relations; r != NULL && r->kind != NULL; r++) {
		struct spot inner = {spot, r->at, -1};

		if (!r->kind->holds(r, set->type, message))
			breach(c, r->at == NULL ? spot : &inner, r->text);
	}
}

static void check_message(
	const struct rule_set *set, struct bytes message, const struct spot *spot, const struct check *c)
{
	unsigned counts[FIELDS_OF_MESSAGE_MAX] = {0};
	struct bytes rest = message;
	struct wire_field f;

	assert(set->type->n_fields <= FIELDS_OF_MESSAGE_MAX);
	while (wire_next(&rest, &f)) {
		const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(set->type, f.number);
		struct spot inner;
		size_t i;

		if (field == NULL)
			continue; /* of a later version of the contract */
		i = (size_t)(field - set->type->fields);
		inner = (struct spot){
			spot, field->name, field->label == PROTOBUF_C_LABEL_REPEATED ? (long)counts[i] : -1};
		counts[i] += check_field(&set->rules[i], field, &f, &inner, c);
	}
	check_counts(set, counts, spot, c);
	check_relations(set, message, spot, c);
}

void rules_check(const struct rule_set *set, struct bytes message, const char *at, struct problems *problems)
{
	struct check c = {at, problems};

	check_message(set, message, NULL, &c);
}

/* ---- For people ---- */

struct tour {
	int (*visit)(void *context, const struct rule_line *line);
	void *context;
};

static const char *type_name(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_STRING:
		return "text";
	case PROTOBUF_C_TYPE_BYTES:
		return "base64";
	case PROTOBUF_C_TYPE_BOOL:
		return "true/false";
	case PROTOBUF_C_TYPE_MESSAGE:
		return "object";
	default:
		return "number";
	}
}

static void describe_relations(struct buffer *out, const struct rule_set *set)
{
	for (const struct relation *r = set->relations; r != NULL && r->kind != NULL; r++)
		buffer_printf(out, "%s%s%s%s", out->len > 0 ? "; " : "", r->at == NULL ? "" : r->at,
			r->at == NULL ? "" : ": ", r->text);
}

static void describe(struct buffer *out, const struct rule *rule)
{
	char text[RULE_TEXT_MAX];

	buffer_str(out, text_of(text, rule));
	if (rule->min > 0)
		buffer_printf(out, "%sat least %u", out->len > 0 ? "; " : "", rule->min);
	if (rule->max > 0)
		buffer_printf(out, "%sat most %u", out->len > 0 ? "; " : "", rule->max);
	if (rule->set != NULL)
		describe_relations(out, rule->set);
}

static int tour_set(const struct tour *t, const struct rule_set *set, const char *prefix);

static int tour_field(
	const struct tour *t, const struct rule *rule, const ProtobufCFieldDescriptor *field, const char *prefix)
{
	char name[JSON_NAME_MAX + 1], place[PLACE_MAX];
	struct buffer text = {0};
	struct rule_line line;
	int r;

	json_name(name, field->name);
	line.repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	snprintf(place, sizeof place, "%s%s%s%s", prefix, *prefix == '\0' ? "" : ".", name, line.repeated ? "[]" : "");
	describe(&text, rule);
	line.place = place;
	line.type = type_name(field->type);
	line.required = field->label == PROTOBUF_C_LABEL_REQUIRED || rule->min > 0;
	line.rule = buffer_cstr(&text);
	r = line.rule == NULL ? -ENOMEM : t->visit(t->context, &line);
	buffer_deinit(&text);
	return r == 0 && rule->set != NULL ? tour_set(t, rule->set, place) : r;
}

static int tour_set(const struct tour *t, const struct rule_set *set, const char *prefix)
{
	int r = 0;

	for (unsigned i = 0; i < set->type->n_fields && r == 0; i++)
		r = tour_field(t, &set->rules[i], &set->type->fields[i], prefix);
	return r;
}

int rule_each(const struct topic *topic, int (*visit)(void *context, const struct rule_line *line), void *context)
{
	struct tour t = {visit, context};
	struct buffer text = {0};
	struct rule_line line = {"", "object", true, false, NULL};
	int r = 0;

	describe_relations(&text, topic->rules);
	line.rule = buffer_cstr(&text);
	if (line.rule == NULL)
		r = -ENOMEM;
	else if (text.len > 0)
		r = visit(context, &line);
	buffer_deinit(&text);
	return r == 0 ? tour_set(&t, topic->rules, "") : r;
}
