#include "value.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DATE_LEN = 10, SECONDS_LEN = 19 };

/* Digits of a number: `*whole` before a point and `*fraction` behind it. False: it is none. */
static bool number_parts(const char *text, size_t *whole, size_t *fraction)
{
	const char *s = text + (*text == '-');

	*whole = strspn(s, "0123456789");
	*fraction = 0;
	s += *whole;
	if (*s == '.') {
		*fraction = strspn(s + 1, "0123456789");
		s += 1 + *fraction;
		if (*fraction == 0)
			return false;
	}
	return *s == '\0' && *whole != 0;
}

/* The form of a text: digits where it has a 0, the same character elsewhere. */
static bool has_form(const char *text, const char *form)
{
	for (; *form != '\0'; text++, form++) {
		if (*form == '0' ? !isdigit((unsigned char)*text) : *text != *form)
			return false;
	}
	return true;
}

static int copy(char **out, const char *text, size_t len)
{
	*out = strndup(text, len);
	return *out == NULL ? -ENOMEM : 0;
}

static int refuse(const char **rule, const char *words)
{
	*rule = words;
	return VALUE_REFUSED;
}

static int make_whole(char **out, const char *text, const char **rule)
{
	size_t whole, fraction;
	const char *point;

	if (!number_parts(text, &whole, &fraction) || whole > 18)
		return refuse(rule, "is no whole number");
	point = strchr(text, '.');
	if (point != NULL && point[1 + strspn(point + 1, "0")] != '\0')
		return refuse(rule, "is no whole number");
	return copy(out, text, point != NULL ? (size_t)(point - text) : strlen(text));
}

static int make_decimal(char **out, const char *text, const char **rule)
{
	size_t whole, fraction;

	if (!number_parts(text, &whole, &fraction))
		return refuse(rule, "is no number");
	return copy(out, text, strlen(text));
}

static int make_flag(char **out, const char *text, const char **rule)
{
	bool yes = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;

	if (!yes && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
		return refuse(rule, "is neither true nor false");
	return copy(out, yes ? "1" : "0", 1);
}

static int make_date(char **out, const char *text, const char **rule)
{
	if (!has_form(text, "0000-00-00") || (text[DATE_LEN] != '\0' && text[DATE_LEN] != 'T'))
		return refuse(rule, "is no date with year, month and day");
	return copy(out, text, DATE_LEN);
}

/* Times of events are in UTC. Databases keep six decimals of a second. */
static int make_time(char **out, const char *text, const char **rule)
{
	size_t decimals = 0;
	int r;

	if (has_form(text, "0000-00-00") && text[DATE_LEN] == '\0')
		return asprintf(out, "%s 00:00:00", text) < 0 ? -ENOMEM : 0;
	if (!has_form(text, "0000-00-00T00:00:00"))
		return refuse(rule, "is no time");
	if (text[SECONDS_LEN] == '.')
		decimals = 1 + strspn(text + SECONDS_LEN + 1, "0123456789");
	if (strcmp(text + SECONDS_LEN + decimals, "Z") != 0)
		return refuse(rule, "is no time in UTC");
	r = copy(out, text, SECONDS_LEN + (decimals > 7 ? 7 : decimals));
	if (r == 0)
		(*out)[DATE_LEN] = ' ';
	return r;
}

int value_convert(char **out, enum column_kind kind, const char *text, bool flag, const char **rule)
{
	*out = NULL;
	if (flag && (kind == KIND_WHOLE || kind == KIND_DECIMAL))
		kind = KIND_FLAG;
	switch (kind) {
	case KIND_WHOLE:
		return make_whole(out, text, rule);
	case KIND_DECIMAL:
		return make_decimal(out, text, rule);
	case KIND_FLAG:
		return make_flag(out, text, rule);
	case KIND_DATE:
		return make_date(out, text, rule);
	case KIND_TIME:
		return make_time(out, text, rule);
	case KIND_BYTES:
		return refuse(rule, "does not fit a column of bytes");
	default:
		return copy(out, text, strlen(text));
	}
}

/* What the event's value is in the column; NULL: there is no word for it. */
static const char *translated(const struct column *c, const char *text)
{
	for (size_t i = 0; i < c->n_values; i++) {
		if (strcmp(c->values[i].name, text) == 0)
			return c->values[i].to;
	}
	return c->n_values != 0 ? c->otherwise : text;
}

int value_make(char **out, const struct column *c, json_t *json, const char **rule)
{
	const char *text = json_string_value(json);
	bool flag = json_is_boolean(json) && c->n_values == 0;
	char number[24];

	*out = NULL;
	if (json == NULL)
		return 0;
	if (json_is_boolean(json))
		text = json_is_true(json) ? "true" : "false";
	if (json_is_integer(json)) {
		snprintf(number, sizeof number, "%lld", (long long)json_integer_value(json));
		text = number;
	}
	if (text == NULL)
		return refuse(rule, "is no value");
	text = translated(c, text);
	if (text == NULL)
		return refuse(rule, "has a code that the mapping does not translate");
	return value_convert(out, c->type.kind, text, flag, rule);
}

const char *value_misfit(const struct column *c, enum column_kind kind)
{
	bool whole = c->place.whole, flag = false;

	if (kind == KIND_BYTES)
		return "holds bytes, which no value of an event is";
	if (c->n_values != 0 || c->place.next != NULL)
		return NULL;
	if (c->place.field != NULL) {
		flag = c->place.field->type == PROTOBUF_C_TYPE_BOOL;
		whole = !flag && c->place.field->type != PROTOBUF_C_TYPE_STRING &&
			c->place.field->type != PROTOBUF_C_TYPE_BYTES;
	}
	if ((flag || whole) && (kind == KIND_DATE || kind == KIND_TIME))
		return flag ? "holds dates, the event has true or false" : "holds dates, the event has a number";
	if (whole && kind == KIND_FLAG)
		return "holds true or false, the event has a number";
	if (place_is(&c->place, "time", NULL) && kind != KIND_TIME && kind != KIND_DATE && kind != KIND_TEXT)
		return "cannot hold a time";
	return NULL;
}
