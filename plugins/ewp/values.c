#include "ewp/values.h"

#include "core/rule.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Readers. The schema's own types come in several spellings (`+05`, ` 5`, `5.`): they become the one that events have. A value
 * that its schema allows but no event has a place for is left out and said so; what breaks the rule of its field is core's to
 * refuse, with its words. */

enum { NUMBER_MAX = 64, LANGUAGE_MAX = 64 };

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The text without white space around it, as most of the schema's types have it (whiteSpace: collapse). */
struct span {
	const char *s;
	size_t len;
};

static struct span trimmed(const char *s)
{
	size_t len;

	while (is_blank(*s))
		s++;
	len = strlen(s);
	while (len > 0 && is_blank(s[len - 1]))
		len--;
	return (struct span){s, len};
}

static json_t *string_of(struct span v)
{
	return json_stringn(v.s, v.len);
}

static bool holds(enum rule_kind rule, struct span v)
{
	return rule_holds(rule, v.s, v.len);
}

static int take(struct ewp_value *out, json_t *json)
{
	out->json = json;
	return json == NULL ? -ENOMEM : 0;
}

static int refuse(struct ewp_value *out, const char *why)
{
	out->refused = why;
	return 0;
}

static int leave_out(struct ewp_value *out, const char *what)
{
	out->left_out = what;
	return 0;
}

/* ---- Plain values ---- */

static int read_string(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return take(out, json_string(text));
}

/* Credits under their one name, which catalogues write either way; national schemes as they are. */
static int read_scheme(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return take(out, json_string(strcasecmp(text, "ects") == 0 ? "ects" : text));
}

/* One of the prefixes (each ends with a slash), then 1 to 40 characters that an id may have. */
static int read_prefixed(struct ewp_value *out, const char *const *prefixes, const char *text, const char *rule)
{
	for (; *prefixes != NULL; prefixes++) {
		size_t n = strlen(*prefixes), len = strlen(text);

		if (strncmp(text, *prefixes, n) == 0 && len > n && len <= n + 40 && rule_holds(RULE_ID, text, len))
			return take(out, json_string(text));
	}
	return refuse(out, rule);
}

static int read_los_id(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	static const char *const prefixes[] = {"CR/", "CLS/", "MOD/", "DEP/", NULL};

	return read_prefixed(out, prefixes, text, "CR/, CLS/, MOD/ or DEP/ and 1 to 40 characters of [!-~]");
}

static int read_loi_id(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	static const char *const prefixes[] = {"CRI/", "CLSI/", "MODI/", "DEPI/", NULL};

	return read_prefixed(out, prefixes, text, "CRI/, CLSI/, MODI/ or DEPI/ and 1 to 40 characters of [!-~]");
}

/* The schema of courses takes any text here; other lists and other years than ours have no place in the event. */
static int read_if(struct ewp_value *out, enum rule_kind rule, const char *text, const char *otherwise)
{
	struct span v = trimmed(text);

	return holds(rule, v) ? take(out, string_of(v)) : leave_out(out, otherwise);
}

static int read_isced_f(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return read_if(out, RULE_ISCED_F, text, "a code that is not four digits (ISCED-F 2013)");
}

static int read_year(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return read_if(out, RULE_ACADEMIC_YEAR, text, "an academic year that is not two years in a row");
}

static int read_term(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	if (field->presence == EWP_CHOICE) /* there it is required */
		return take(out, json_string(text));
	return read_if(out, RULE_TERM, text, "a term that is not of an academic year of two years in a row");
}

static int read_language(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return read_if(out, RULE_LANGUAGE, text, "a language tag that does not begin with a language");
}

static int read_flag(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	if (trimmed(text).len > 0)
		out->left_out = "what is in it";
	return take(out, json_true());
}

/* ---- Dates and numbers ---- */

/* xs:date may have a time zone, Z or +hh:mm, which dates of events do not. */
static int read_date(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	struct span v = trimmed(text);
	bool zoned = v.len > 10 && (v.s[10] == 'Z' || v.s[10] == '+' || v.s[10] == '-');

	if (zoned)
		v.len = 10;
	if (v.len != 10 || !holds(RULE_DATE, v))
		return refuse(out, "a date that exists: YYYY-MM-DD");
	if (zoned)
		out->left_out = "its time zone";
	return take(out, string_of(v));
}

/* Sign and superfluous zeros off: +05.50 is 5.50. */
static struct span unsigned_number(struct span v)
{
	if (v.len > 1 && v.s[0] == '+') {
		v.s++;
		v.len--;
	}
	while (v.len > 1 && v.s[0] == '0' && is_digit(v.s[1])) {
		v.s++;
		v.len--;
	}
	return v;
}

static int read_decimal(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	struct span v = unsigned_number(trimmed(text));
	char number[NUMBER_MAX + 2];
	size_t whole, n = 0;

	if (v.len > NUMBER_MAX || strspn(v.s, "0123456789.") < v.len || strspn(v.s, ".") >= v.len)
		return refuse(out, rule_text(RULE_DECIMAL));
	whole = strcspn(v.s, ".") < v.len ? strcspn(v.s, ".") : v.len;
	while (whole < v.len && v.len > whole + 7 && v.s[v.len - 1] == '0')
		v.len--; /* no more decimals than events have, as long as they are zeros */
	if (whole == v.len - 1)
		v.len--;
	if (whole == 0)
		number[n++] = '0';
	memcpy(number + n, v.s, v.len);
	v = (struct span){number, n + v.len};
	return holds(RULE_DECIMAL, v) ? take(out, string_of(v)) : refuse(out, rule_text(RULE_DECIMAL));
}

static int read_integer(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return take(out, string_of(unsigned_number(trimmed(text))));
}

static int read_count(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	struct span v = unsigned_number(trimmed(text));

	if (v.len == 0 || v.len > 10 || strspn(v.s, "0123456789") < v.len || strtoull(v.s, NULL, 10) > UINT32_MAX)
		return refuse(out, "a whole number from 0 to 4294967295");
	return take(out, json_integer((json_int_t)strtoull(v.s, NULL, 10)));
}

/* ---- Words ---- */

static const char *word_for(const struct ewp_word *words, struct span v)
{
	for (; words->theirs != NULL; words++)
		if (strlen(words->theirs) == v.len && memcmp(words->theirs, v.s, v.len) == 0)
			return words->ours;
	return NULL;
}

/* The standard tells readers to treat words they do not know as if they were not there. */
static int read_word(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	const char *ours = word_for(field->words, (struct span){text, strlen(text)});

	return ours == NULL ? leave_out(out, "a word that this version of the standard does not have")
			    : take(out, json_string(ours));
}

/* ISO/IEC 5218, as an integer. */
static int read_gender(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	const char *ours = word_for(field->words, unsigned_number(trimmed(text)));

	return ours == NULL ? refuse(out, "0, 1, 2 or 9 (ISO/IEC 5218)") : take(out, json_string(ours));
}

/* Our codes for a nomination are the standard's own; what it was called there stands beside. */
static int read_status(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return take(out, json_pack("{ss, ss, ss}", "code", text, "foreignValue", text, "foreignList", field->list));
}

/* ---- Texts in a language ---- */

/* The language as an event may have it; NULL: none. */
static const char *language_of(struct ewp_value *out, const char *lang)
{
	if (lang == NULL || *lang == '\0')
		return NULL;
	if (strlen(lang) <= LANGUAGE_MAX && rule_holds(RULE_LANGUAGE, lang, strlen(lang)))
		return lang;
	out->left_out = "its xml:lang, which does not begin with a language";
	return NULL;
}

static int read_text(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	const char *language = language_of(out, lang);

	return take(out, json_pack("{ss, ss}", "lang", language == NULL ? "und" : language, "value", text));
}

/* A text that need not have a language; under the given name. json_pack("s*") would leave the language out when memory is short. */
static int read_in_language(struct ewp_value *out, const char *name, const char *text, const char *lang)
{
	const char *language = language_of(out, lang);

	return take(out,
		language == NULL ? json_pack("{ss}", name, text) : json_pack("{ss, ss}", "lang", language, name, text));
}

static int read_name(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	return read_in_language(out, field->field, text, lang);
}

static int read_link(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	struct span v = trimmed(text);
	const char *language = language_of(out, lang);

	return take(out, language == NULL ? json_pack("{ss%}", "url", v.s, v.len)
					  : json_pack("{ss, ss%}", "lang", language, "url", v.s, v.len));
}

/* ---- The table ---- */

static const struct {
	int (*read)(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang);
	const char *text;
	bool has_lang, is_entry;
	bool may_be_empty; /* else an empty value says nothing, and is left out */
} types[EWP_TYPES] = {
	[EWP_OBJECT] = {NULL, "elements"},
	[EWP_INLINE] = {NULL, "elements"},
	[EWP_STRING] = {read_string, "text"},
	[EWP_SCHEME] = {read_scheme, "code of a credit scheme; ECTS becomes ects"},
	[EWP_LOS_ID] = {read_los_id, "CR/, CLS/, MOD/ or DEP/ and an id"},
	[EWP_LOI_ID] = {read_loi_id, "CRI/, CLSI/, MODI/ or DEPI/ and an id"},
	[EWP_ISCED_F] = {read_isced_f, "four digits; other codes are not carried"},
	[EWP_YEAR] = {read_year, "2026/2027; 2026/2026 is not carried"},
	[EWP_TERM] = {read_term, "2026/2027-1/2"},
	[EWP_LANGUAGE] = {read_language, "language tag"},
	[EWP_DATE] = {read_date, "date; a time zone is not carried"},
	[EWP_DECIMAL] = {read_decimal, "decimal"},
	[EWP_INTEGER] = {read_integer, "whole number"},
	[EWP_COUNT] = {read_count, "whole number"},
	[EWP_WORD] = {read_word, "word; unknown ones are not carried"},
	[EWP_GENDER] = {read_gender, "ISO/IEC 5218 code, in words"},
	[EWP_FLAG] = {read_flag, "that it is there", .may_be_empty = true},
	[EWP_STATUS] = {read_status, "status, with the standard's word beside it"},
	[EWP_TEXT] = {read_text, "text in a language; `und` without xml:lang", .has_lang = true, .is_entry = true},
	[EWP_NAME] = {read_name, "name, paired by xml:lang", .has_lang = true, .is_entry = true},
	[EWP_LINK] = {read_link, "address, in a language", .has_lang = true, .is_entry = true},
};

bool value_has_lang(enum ewp_type type)
{
	return types[type].has_lang;
}

bool value_is_entry(enum ewp_type type)
{
	return types[type].is_entry;
}

const char *value_text(enum ewp_type type)
{
	return types[type].text;
}

int value_read(struct ewp_value *out, const struct ewp_field *field, const char *text, const char *lang)
{
	*out = (struct ewp_value){0};
	out->empty = trimmed(text).len == 0;
	if (out->empty && !types[field->type].may_be_empty)
		return leave_out(out, "empty");
	return types[field->type].read(out, field, text, lang);
}
