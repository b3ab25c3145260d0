/* convert - our proto-JSON on standard input and output, for comparison with another implementation.
 *
 * One request a line: `topics` (answered by a line `TOPIC MESSAGE EXAMPLE` for each topic, then `end`), `encode MESSAGE JSON`
 * (answered by `ok HEX` or `refused POINTER...`), `decode MESSAGE HEX` (answered by `ok JSON` or `malformed`). Of rules:
 * `holds KIND HEX` (`yes` or `no`), and `validate PUBLISHER AUDIENCE HEX` of an Event (`refused`, and the places). */
#include "core/event.h"
#include "core/json.h"
#include "core/rule.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void list(void)
{
	for (size_t i = 0; i < n_topics; i++)
		printf("%s %s %s\n", topics[i].name, topics[i].message->name, topics[i].example);
	puts("end");
}

static const ProtobufCMessageDescriptor *message_named(const char *name)
{
	for (size_t i = 0; i < n_topics; i++)
		if (strcmp(topics[i].message->name, name) == 0)
			return topics[i].message;
	fprintf(stderr, "convert: no topic has a message %s\n", name);
	exit(EXIT_FAILURE);
}

static void print_problems(const struct problems *problems)
{
	printf("refused");
	for (size_t i = 0; i < problems->n; i++)
		printf(" %s", problems->items[i].place);
	putchar('\n');
}

static void encode(const ProtobufCMessageDescriptor *type, const char *text)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	struct problems problems = {0};
	uint8_t *packed = NULL;
	size_t len;
	char *hex;

	if (json == NULL) {
		puts("refused (not JSON)");
		return;
	}
	if (json_to_message(&packed, &len, type, json, "", &problems) != 0)
		print_problems(&problems);
	else if ((hex = malloc(2 * len + 1)) != NULL) {
		hex_encode(hex, packed, len);
		printf("ok %s\n", hex);
		free(hex);
	}
	free(packed);
	problems_deinit(&problems);
	json_decref(json);
}

static void decode(const ProtobufCMessageDescriptor *type, const char *hex)
{
	size_t len = strlen(hex) / 2;
	uint8_t *packed = malloc(len + 1);
	json_t *json = NULL;
	char *text = NULL;

	if (packed != NULL && hex_decode(packed, len, hex))
		json = json_from_message(type, bytes_of(packed, len));
	if (json != NULL)
		text = json_dumps(json, JSON_COMPACT);
	if (text != NULL)
		printf("ok %s\n", text);
	else
		puts("malformed");
	free(text);
	json_decref(json);
	free(packed);
}

static struct bytes read_hex(uint8_t **memory, const char *hex)
{
	size_t len = hex == NULL ? 0 : strlen(hex) / 2;

	*memory = malloc(len + 1);
	if (*memory == NULL || !hex_decode(*memory, len, hex == NULL ? "" : hex))
		exit(EXIT_FAILURE);
	return bytes_of(*memory, len);
}

static void holds(const char *name, const char *hex)
{
	uint8_t *memory;
	struct bytes value = read_hex(&memory, hex);

	for (int kind = 0; kind < RULE_KINDS; kind++)
		if (strcmp(rule_form(kind)->name, name) == 0)
			puts(rule_holds(kind, (const char *)value.data, value.len) ? "yes" : "no");
	free(memory);
}

static void validate(const char *publisher, const char *audience, const char *hex)
{
	struct problems problems = {0};
	uint8_t *memory;
	struct event e;

	if (event_unpack(&e, read_hex(&memory, hex)) != 0)
		problem_add(&problems, "-", "not an Event");
	else
		event_validate(&e, publisher, audience, &problems);
	print_problems(&problems);
	event_deinit(&e);
	problems_deinit(&problems);
	free(memory);
}

static void answer(char *line)
{
	char *save = NULL, *verb = strtok_r(line, " ", &save), *name = strtok_r(NULL, " ", &save);

	if (verb == NULL)
		return;
	if (strcmp(verb, "topics") == 0)
		list();
	else if (name != NULL && strcmp(verb, "encode") == 0)
		encode(message_named(name), save);
	else if (name != NULL && strcmp(verb, "decode") == 0)
		decode(message_named(name), save);
	else if (name != NULL && strcmp(verb, "holds") == 0)
		holds(name, save);
	else if (name != NULL && strcmp(verb, "validate") == 0) {
		char *audience = strtok_r(NULL, " ", &save);

		validate(name, audience, save);
	}
	fflush(stdout);
}

int main(void)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		line[n - 1] = '\0';
		answer(line);
	}
	free(line);
	return EXIT_SUCCESS;
}
