/* json - proto-JSON both ways for any message of ours, from protobuf-c's descriptors
 * (https://protobuf.dev/programming-guides/json/). Agrees with Python's google.protobuf.json_format.
 *
 * json_to_message() refuses what the format refuses and also unknown fields, duplicate keys, wrong types, NUL in text,
 * numbers out of range and messages deeper than DEPTH_MAX; each with a JSON pointer. A field may go by either of its names
 * (courseId, course_id), null means absent, and 64-bit integers are written as strings and read as either (as numbers only
 * up to 2^63 - 1, the most that jansson reads). Enumerations, floating point, maps and oneofs do not occur in our contracts
 * (a unit test walks them). */
#ifndef ENLIGHT_CORE_JSON_H
#define ENLIGHT_CORE_JSON_H

#include "base/bytes.h"
#include "base/problem.h"
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

/* Packs the JSON object as a message; memory the caller frees. 0; JSON_REFUSED with `problems`, each place with `at` in
 * front; -ENOMEM. Missing required fields are refused too. */
enum { JSON_REFUSED = 1 };
int json_to_message(uint8_t **out, size_t *len, const ProtobufCMessageDescriptor *type, json_t *json, const char *at,
	struct problems *problems);

/* The JSON object of a packed message, as a new reference. NULL: malformed (errno EPROTO) or out of memory (ENOMEM). */
json_t *json_from_message(const ProtobufCMessageDescriptor *type, struct bytes packed);

/* Appends any JSON, compact. Memory that is short shows in the buffer's error; json_dumps() can answer then with a text that lacks names. */
void json_append(struct buffer *out, const json_t *json);

/* A field's name in JSON: course_id is courseId. `out` has JSON_NAME_MAX + 1 bytes; no name of ours is longer. */
enum { JSON_NAME_MAX = 63 };
void json_name(char *out, const char *field);
bool json_name_is(const char *field, const char *name, size_t len);

/* base64 as JSON carries bytes: standard or URL-safe alphabet, with or without padding, nothing else. Memory the caller
 * frees. 0, JSON_REFUSED or -ENOMEM. */
int json_base64(uint8_t **out, size_t *len, const char *text, size_t text_len);

#endif
