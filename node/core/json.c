#include "core/json.h"

#include "core/limits.h"
#include "core/wire.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT_LEN_MAX = 10, WIRE_VARINT = 0, WIRE_LEN = 2 };

void json_name(char *out, const char *field)
{
	bool capital = false;
	size_t n = 0;

	for (; *field != '\0' && n < JSON_NAME_MAX; field++) {
		if (*field == '_') {
			capital = true;
			continue;
		}
		out[n++] = capital && *field >= 'a' && *field <= 'z' ? (char)(*field - 'a' + 'A') : *field;
		capital = false;
	}
	out[n] = '\0';
}

/* Compares without writing the name down: validation asks this for many fields of every event. */
bool json_name_is(const char *field, const char *name, size_t len)
{
	size_t i = 0;

	for (; *field != '\0' && i < len; field++, i++) {
		bool capital = *field == '_';
		char c;

		if (capital)
			field++;
		c = capital && *field >= 'a' && *field <= 'z' ? (char)(*field - 'a' + 'A') : *field;
		if (c != name[i])
			return false;
	}
	return *field == '\0' && i == len;
}

static bool is_counted(ProtobufCType type)
{
	return type == PROTOBUF_C_TYPE_STRING || type == PROTOBUF_C_TYPE_BYTES || type == PROTOBUF_C_TYPE_MESSAGE;
}

/* ---- JSON to a message, written straight to the wire in the order of the fields' numbers ---- */

/* Where in the JSON the reading is; the pointer is only made for a problem. */
struct spot {
	const struct spot *up; /* NULL: the whole */
	const char *key;       /* as it stands in the JSON; NULL: an index */
	size_t index;
};

struct reading {
	struct buffer out;
	const char *at;
	struct problems *problems;
	bool refused;
};

static void add_pointer(struct buffer *out, const struct spot *spot)
{
	if (spot == NULL)
		return;
	add_pointer(out, spot->up);
	if (spot->key == NULL) {
		buffer_printf(out, "/%zu", spot->index);
		return;
	}
	buffer_str(out, "/");
	for (const char *c = spot->key; *c != '\0'; c++) /* RFC 6901, section 3 */
		if (*c == '~' || *c == '/')
			buffer_str(out, *c == '~' ? "~0" : "~1");
		else
			buffer_add(out, c, 1);
}

static void refuse(struct reading *r, const struct spot *spot, const char *rule)
{
	struct buffer place = {0};
	const char *text;

	r->refused = true;
	buffer_str(&place, r->at);
	add_pointer(&place, spot);
	text = buffer_cstr(&place);
	problem_add(r->problems, text == NULL ? r->at : text, rule);
	buffer_deinit(&place);
}

static void refuse_key(struct reading *r, const struct spot *up, const char *key, const char *rule)
{
	struct spot spot = {up, key, 0};

	refuse(r, &spot, rule);
}

static size_t varint(uint8_t out[static VARINT_LEN_MAX], uint64_t v)
{
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		out[n++] = (uint8_t)(v | 0x80);
	out[n++] = (uint8_t)v;
	return n;
}

static void add_varint(struct buffer *b, uint64_t v)
{
	uint8_t bytes[VARINT_LEN_MAX];

	buffer_add(b, bytes, varint(bytes, v));
}

static void add_tag(struct buffer *b, const ProtobufCFieldDescriptor *field)
{
	add_varint(b, (uint64_t)field->id << 3 | (is_counted(field->type) ? WIRE_LEN : WIRE_VARINT));
}

/* Puts the length in front of what was written since `start`. */
static void close_message(struct buffer *b, size_t start)
{
	uint8_t len[VARINT_LEN_MAX];
	size_t content = b->len - start, n = varint(len, content);

	buffer_add(b, len, n); /* makes room */
	if (b->error != 0)
		return;
	memmove(b->data + start + n, b->data + start, content);
	memcpy(b->data + start, len, n);
}

static void read_text(struct reading *r, json_t *json, const struct spot *spot)
{
	size_t len;

	if (!json_is_string(json)) {
		refuse(r, spot, "text");
		return;
	}
	len = json_string_length(json);
	if (!utf8_valid((const uint8_t *)json_string_value(json), len)) {
		refuse(r, spot, "text without NUL");
		return;
	}
	add_varint(&r->out, len);
	buffer_add(&r->out, json_string_value(json), len);
}

int json_base64(uint8_t **out, size_t *len, const char *text, size_t text_len)
{
	size_t digits = text_len, size;
	char *standard;
	int result = 0;

	*out = NULL;
	while (digits > 0 && text_len - digits < 2 && text[digits - 1] == '=')
		digits--;
	if (digits % 4 == 1 || (digits != text_len && text_len % 4 != 0))
		return JSON_REFUSED;
	*len = digits / 4 * 3 + (digits % 4 == 0 ? 0 : digits % 4 - 1);
	size = (digits + 3) / 4 * 4;
	standard = malloc(size + 1);
	*out = malloc(*len + 1);
	if (standard == NULL || *out == NULL) {
		result = -ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < size; i++)
		standard[i] = i >= digits ? '=' : text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
	if (!base64_decode(*out, *len, standard, size))
		result = JSON_REFUSED;
out:
	free(standard);
	if (result != 0) {
		free(*out);
		*out = NULL;
	}
	return result;
}

static void read_bytes(struct reading *r, json_t *json, const struct spot *spot)
{
	uint8_t *data = NULL;
	size_t len = 0;
	int result = JSON_REFUSED;

	if (json_is_string(json))
		result = json_base64(&data, &len, json_string_value(json), json_string_length(json));
	if (result == JSON_REFUSED)
		refuse(r, spot, "bytes in base64");
	else if (result != 0)
		r->out.error = result;
	else {
		add_varint(&r->out, len);
		buffer_add(&r->out, data, len);
	}
	free(data);
}

/* A whole number as JSON writes one: 5, 5.0, "5". */
static bool whole_number(json_t *json, bool *negative, uint64_t *magnitude)
{
	const double exact = 9007199254740992.0; /* 2^53: beyond it neighbours fall together */
	char *end;

	if (json_is_integer(json)) {
		json_int_t v = json_integer_value(json);

		*negative = v < 0;
		*magnitude = v < 0 ? -(uint64_t)v : (uint64_t)v;
		return true;
	}
	if (json_is_real(json)) {
		double v = json_real_value(json);

		if (!(v >= -exact && v <= exact) || v != (double)(int64_t)v)
			return false;
		*negative = v < 0;
		*magnitude = (uint64_t)(v < 0 ? -v : v);
		return true;
	}
	if (json_is_string(json)) {
		const char *s = json_string_value(json);

		*negative = *s == '-';
		s += *negative ? 1 : 0;
		if (*s < '0' || *s > '9' || json_string_length(json) > 21)
			return false;
		errno = 0;
		*magnitude = strtoull(s, &end, 10);
		return errno == 0 && *end == '\0';
	}
	return false;
}

static const struct {
	ProtobufCType type;
	uint64_t min, max; /* min: magnitude of the lowest */
	const char *text;
	bool zigzag;
} number_types[] = {
	{PROTOBUF_C_TYPE_INT32, UINT64_C(1) << 31, INT32_MAX, "a whole number of 32 bits", false},
	{PROTOBUF_C_TYPE_SINT32, UINT64_C(1) << 31, INT32_MAX, "a whole number of 32 bits", true},
	{PROTOBUF_C_TYPE_UINT32, 0, UINT32_MAX, "a whole number from 0 to 4294967295", false},
	{PROTOBUF_C_TYPE_INT64, UINT64_C(1) << 63, INT64_MAX, "a whole number of 64 bits", false},
	{PROTOBUF_C_TYPE_SINT64, UINT64_C(1) << 63, INT64_MAX, "a whole number of 64 bits", true},
	{PROTOBUF_C_TYPE_UINT64, 0, UINT64_MAX, "a whole number from 0 to 18446744073709551615", false},
};

static size_t number_type(ProtobufCType type)
{
	size_t i = 0, n = sizeof number_types / sizeof *number_types;

	while (i < n && number_types[i].type != type)
		i++;
	assert(i < n); /* our contracts use no others */
	return i;
}

static void read_number(struct reading *r, ProtobufCType type, json_t *json, const struct spot *spot)
{
	size_t t = number_type(type);
	uint64_t v, wire;
	bool negative;

	if (!whole_number(json, &negative, &v) || v > (negative ? number_types[t].min : number_types[t].max)) {
		refuse(r, spot, number_types[t].text);
		return;
	}
	wire = negative ? -v : v;
	if (number_types[t].zigzag)
		wire = negative && v > 0 ? 2 * (v - 1) + 1 : 2 * v;
	add_varint(&r->out, wire);
}

static void read_flag(struct reading *r, json_t *json, const struct spot *spot)
{
	if (!json_is_boolean(json))
		refuse(r, spot, "true or false");
	else
		add_varint(&r->out, json_is_true(json) ? 1 : 0);
}

static void read_object(struct reading *r, const ProtobufCMessageDescriptor *type, json_t *json,
	const struct spot *spot, unsigned depth);

static void read_value(
	struct reading *r, const ProtobufCFieldDescriptor *field, json_t *json, const struct spot *spot, unsigned depth)
{
	size_t start;

	add_tag(&r->out, field);
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		read_text(r, json, spot);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		read_bytes(r, json, spot);
		break;
	case PROTOBUF_C_TYPE_BOOL:
		read_flag(r, json, spot);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		start = r->out.len;
		read_object(r, field->descriptor, json, spot, depth + 1);
		close_message(&r->out, start);
		break;
	default:
		read_number(r, field->type, json, spot);
	}
}

static void read_list(
	struct reading *r, const ProtobufCFieldDescriptor *field, json_t *json, const struct spot *spot, unsigned depth)
{
	if (!json_is_array(json)) {
		refuse(r, spot, "a list");
		return;
	}
	for (size_t i = 0; i < json_array_size(json) && r->out.error == 0; i++) {
		struct spot entry = {spot, NULL, i};

		read_value(r, field, json_array_get(json, i), &entry, depth);
	}
}

/* The value of a field under either of its names; NULL: absent. `*key` is the name it stands under. */
static json_t *member_of(struct reading *r, const ProtobufCFieldDescriptor *field, json_t *json,
	const struct spot *spot, const char **key, char name[static JSON_NAME_MAX + 1], size_t *known)
{
	json_t *value, *other = NULL;

	json_name(name, field->name);
	*key = name;
	value = json_object_get(json, name);
	if (strcmp(name, field->name) != 0)
		other = json_object_get(json, field->name);
	*known += (value != NULL ? 1 : 0) + (other != NULL ? 1 : 0);
	if (value != NULL && other != NULL)
		refuse_key(r, spot, field->name, "given under its other name too");
	if (value == NULL && other != NULL) {
		*key = field->name;
		value = other;
	}
	return json_is_null(value) ? NULL : value;
}

static void read_member(struct reading *r, const ProtobufCFieldDescriptor *field, json_t *json, const struct spot *spot,
	size_t *known, unsigned depth)
{
	char name[JSON_NAME_MAX + 1];
	const char *key;
	json_t *value = member_of(r, field, json, spot, &key, name, known);
	struct spot inner = {spot, key, 0};

	if (value == NULL) {
		if (field->label == PROTOBUF_C_LABEL_REQUIRED)
			refuse(r, &inner, "required");
	} else if (field->label == PROTOBUF_C_LABEL_REPEATED)
		read_list(r, field, value, &inner, depth);
	else
		read_value(r, field, value, &inner, depth);
}

static bool names_a_field(const ProtobufCMessageDescriptor *type, const char *key)
{
	for (unsigned i = 0; i < type->n_fields; i++)
		if (strcmp(type->fields[i].name, key) == 0 || json_name_is(type->fields[i].name, key, strlen(key)))
			return true;
	return false;
}

static void read_object(struct reading *r, const ProtobufCMessageDescriptor *type, json_t *json,
	const struct spot *spot, unsigned depth)
{
	const char *key;
	json_t *value;
	size_t known = 0;

	if (!json_is_object(json)) {
		refuse(r, spot, "an object");
		return;
	}
	if (depth > DEPTH_MAX) {
		refuse(r, spot, "nested too deep");
		return;
	}
	for (unsigned i = 0; i < type->n_fields && r->out.error == 0; i++)
		read_member(r, &type->fields[i], json, spot, &known, depth);
	if (known == json_object_size(json))
		return;
	json_object_foreach(json, key, value) if (!names_a_field(type, key)) refuse_key(r, spot, key, "unknown field");
}

int json_to_message(uint8_t **out, size_t *len, const ProtobufCMessageDescriptor *type, json_t *json, const char *at,
	struct problems *problems)
{
	struct reading r = {.at = at, .problems = problems};
	int result;

	*out = NULL;
	*len = 0;
	read_object(&r, type, json, NULL, 1);
	result = r.out.error != 0 ? r.out.error : r.refused ? JSON_REFUSED : 0;
	if (result == 0) {
		*len = r.out.len;
		*out = r.out.len > 0 ? buffer_take(&r.out, len) : malloc(1);
		result = *out == NULL ? -ENOMEM : 0;
	}
	buffer_deinit(&r.out);
	return result;
}

/* ---- A message to JSON, read straight from the wire ---- */

static json_t *write_object(const ProtobufCMessageDescriptor *type, struct bytes message);

static json_t *write_bytes(struct bytes b)
{
	char *text = malloc(BASE64_SIZE(b.len));
	json_t *json = NULL;

	if (text != NULL) {
		base64_encode(text, b.data, b.len);
		json = json_string(text);
	}
	free(text);
	return json;
}

static json_t *write_number(ProtobufCType type, uint64_t v)
{
	char text[24];

	switch (type) {
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(v != 0);
	case PROTOBUF_C_TYPE_UINT32:
		return json_integer((json_int_t)(uint32_t)v);
	case PROTOBUF_C_TYPE_INT32:
		return json_integer((int32_t)(uint32_t)v);
	case PROTOBUF_C_TYPE_SINT32:
		v = (uint32_t)v;
		return json_integer((int32_t)(uint32_t)(v >> 1 ^ -(v & 1)));
	case PROTOBUF_C_TYPE_INT64:
		snprintf(text, sizeof text, "%lld", (long long)v);
		return json_string(text);
	case PROTOBUF_C_TYPE_SINT64:
		snprintf(text, sizeof text, "%lld", (long long)(v >> 1 ^ -(v & 1)));
		return json_string(text);
	default:
		assert(type == PROTOBUF_C_TYPE_UINT64); /* our contracts use no others */
		snprintf(text, sizeof text, "%llu", (unsigned long long)v);
		return json_string(text);
	}
}

static json_t *write_value(const ProtobufCFieldDescriptor *field, const struct wire_field *f)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_STRING:
		return json_stringn((const char *)f->content.data, f->content.len);
	case PROTOBUF_C_TYPE_BYTES:
		return write_bytes(f->content);
	case PROTOBUF_C_TYPE_MESSAGE:
		return write_object(field->descriptor, f->content);
	default:
		return write_number(field->type, f->value);
	}
}

static int write_numbers(json_t *list, const ProtobufCFieldDescriptor *field, struct bytes packed)
{
	uint64_t v;

	while (wire_number(&packed, &v))
		if (json_array_append_new(list, write_number(field->type, v)) < 0)
			return -ENOMEM;
	return 0;
}

static int write_field(json_t *object, const ProtobufCFieldDescriptor *field, const struct wire_field *f)
{
	char name[JSON_NAME_MAX + 1];
	json_t *list;

	json_name(name, field->name);
	if (field->label != PROTOBUF_C_LABEL_REPEATED)
		return json_object_set_new(object, name, write_value(field, f)) < 0 ? -ENOMEM : 0;
	list = json_object_get(object, name);
	if (list == NULL) {
		list = json_array();
		if (list == NULL || json_object_set_new(object, name, list) < 0)
			return -ENOMEM;
	}
	if (f->counted && !is_counted(field->type))
		return write_numbers(list, field, f->content);
	return json_array_append_new(list, write_value(field, f)) < 0 ? -ENOMEM : 0;
}

static json_t *write_object(const ProtobufCMessageDescriptor *type, struct bytes message)
{
	json_t *object = json_object();
	struct wire_field f;

	while (object != NULL && wire_next(&message, &f)) {
		const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field(type, f.number);

		if (field != NULL && write_field(object, field, &f) != 0) {
			json_decref(object);
			object = NULL;
		}
	}
	return object;
}

json_t *json_from_message(const ProtobufCMessageDescriptor *type, struct bytes packed)
{
	json_t *json;

	if (!wire_valid(type, packed)) {
		errno = EPROTO;
		return NULL;
	}
	json = write_object(type, packed);
	if (json == NULL)
		errno = ENOMEM;
	return json;
}

static int append(const char *data, size_t len, void *context)
{
	struct buffer *out = context;

	buffer_add(out, data, len);
	return out->error == 0 ? 0 : -1;
}

void json_append(struct buffer *out, const json_t *json)
{
	if (json_dump_callback(json, append, out, JSON_COMPACT | JSON_ENCODE_ANY) != 0 && out->error == 0)
		out->error = -ENOMEM;
}
