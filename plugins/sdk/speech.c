/* What a plugin says beside results: log, reasons, publications, beats. */
#include "connection.h"

#include "core/json.h"
#include "core/wire.h"
#include "frame.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

/* Takes away a character of which the end is missing. */
static size_t without_part(const char *text, size_t len)
{
	size_t at = len;

	while (at > 0 && len - at < 3 && ((uint8_t)text[at - 1] & 0xc0) == 0x80)
		at--;
	if (at == 0 || (uint8_t)text[at - 1] < 0xc0)
		return len;
	at--;
	return utf8_valid((const uint8_t *)text + at, len - at) ? len : at;
}

/* The length of the character at `text`; 0: it is none. */
static size_t character(const char *text, size_t left)
{
	for (size_t n = 1; n <= 4 && n <= left; n++)
		if (utf8_valid((const uint8_t *)text, n))
			return n;
	return 0;
}

void text_tidy(char *text)
{
	size_t len = without_part(text, strlen(text));

	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	text[len] = '\0';
	for (size_t i = 0, n; i < len; i += n) {
		n = character(text + i, len - i);
		if (n == 0)
			text[i] = '?';
		else if ((uint8_t)text[i] < 0x20 || text[i] == 0x7f)
			text[i] = ' ';
		n = n == 0 ? 1 : n;
	}
}

enum enlight_outcome enlight_result(
	struct enlight_result *result, enum enlight_outcome outcome, const char *reason_format, ...)
{
	va_list args;

	result->outcome = outcome;
	va_start(args, reason_format);
	if (vsnprintf(result->reason, sizeof result->reason, reason_format, args) < 0)
		result->reason[0] = '\0';
	va_end(args);
	text_tidy(result->reason);
	return outcome;
}

void enlight_log(struct enlight *e, enum enlight_level level, const char *format, ...)
{
	static const char *const levels[] = {"error", "warn", "info", "debug"};
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Log log = ENLIGHT__PLUGIN__V1__LOG__INIT;
	char text[LOG_MAX + 1];
	va_list args;

	va_start(args, format);
	if (vsnprintf(text, sizeof text, format, args) < 0)
		text[0] = '\0';
	va_end(args);
	text_tidy(text);
	log.level = (char *)levels[level > ENLIGHT_DEBUG ? ENLIGHT_DEBUG : level];
	log.text = text;
	frame.log = &log;
	frame_put(&e->out, &frame);
	connection_flush(e);
}

uint64_t enlight_publish(struct enlight *e, json_t *event)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Publish publish = ENLIGHT__PLUGIN__V1__PUBLISH__INIT;
	struct buffer text = {0};

	json_append(&text, event);
	if (text.error != 0) {
		buffer_deinit(&text);
		errno = ENOMEM;
		return 0;
	}
	publish.number = e->n_published + 1;
	publish.event = (ProtobufCBinaryData){text.len, text.data};
	frame.publish = &publish;
	if (protobuf_c_message_get_packed_size(&frame.base) > FRAME_MAX) {
		buffer_deinit(&text);
		errno = EMSGSIZE;
		return 0;
	}
	frame_put(e->started ? &e->out : &e->early, &frame);
	buffer_deinit(&text);
	if (e->started)
		connection_flush(e);
	return ++e->n_published;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int connection_wait_ms(const struct enlight *e)
{
	uint64_t due = e->sent_ms + (e->beat_ms < 3 ? 1 : e->beat_ms / 3), now = now_ms();

	if (e->beat_ms == 0)
		return -1;
	return due <= now ? 0 : (int)(due - now);
}

void enlight_beat(struct enlight *e)
{
	Enlight__Plugin__V1__FromPlugin frame = ENLIGHT__PLUGIN__V1__FROM_PLUGIN__INIT;
	Enlight__Plugin__V1__Beat beat = ENLIGHT__PLUGIN__V1__BEAT__INIT;

	if (connection_wait_ms(e) != 0)
		return;
	frame.beat = &beat;
	frame_put(&e->out, &frame);
	connection_flush(e);
}

void connection_flush(struct enlight *e)
{
	if (e->out.error != 0)
		connection_fail(e, EX_OSERR, "out of memory");
	else if (e->out.len == 0)
		return;
	else if (!e->write(e->context, bytes_of(e->out.data, e->out.len)) && e->status < 0)
		e->status = 0; /* the node is gone */
	e->sent_ms = now_ms();
	e->out.error = 0;
	buffer_clear(&e->out);
}
