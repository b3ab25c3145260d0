/* connection - a plugin's side of the conversation with its node, without the descriptors: frames go in, callbacks are
 * called, frames come out. main.c moves them over pipes, test_node.c plays the node in the same process. */
#ifndef ENLIGHT_SDK_CONNECTION_H
#define ENLIGHT_SDK_CONNECTION_H

#include "base/bytes.h"
#include "core/event.h"
#include "core/limits.h"
#include "enlight-plugin.h"
#include "enlight/plugin/v1/plugin.pb-c.h"

enum {
	WINDOW_USUAL = 64,
	WINDOW_MAX = 4096,
	GATHER_MAX = 1024 * 1024, /* bytes of events gathered for one call of deliver_many */
	REASON_MAX = 255,
	LOG_MAX = 2047,
};

/* An event that was delivered, with what it borrows from. */
struct delivery {
	Enlight__Plugin__V1__ToPlugin *frame;
	struct event event;
	void *message;
	char topic[TYPE_MAX + 1];
};

/* Reads a Deliver, which is taken in any case. 0; -ENOMEM; or DELIVERY_UNREADABLE. */
enum { DELIVERY_UNREADABLE = 1 };
int delivery_read(struct delivery *d, struct enlight_event *out, Enlight__Plugin__V1__ToPlugin *frame);
void delivery_deinit(struct delivery *d);

struct enlight {
	const struct enlight_plugin *plugin;
	void *state;
	char *member, *name, *folder, *state_folder;
	uint32_t beat_ms;
	uint64_t sent_ms; /* when something was sent last */
	bool started;
	bool bad_settings;
	int status; /* what the process exits with; -1: the conversation goes on */
	struct loaded *loaded;

	struct buffer out;   /* frames not yet written */
	struct buffer early; /* publications from `start`, which wait for Ready */
	bool (*write)(void *context, struct bytes frames);
	void *context;

	struct delivery *deliveries; /* gathered, `window` at most */
	struct enlight_event *events;
	struct enlight_result *results;
	size_t n, window, gathered_bytes;
	uint64_t n_published;
};

/* `write` is given whole frames; false: nobody reads them any more. NULL: out of memory. */
struct enlight *connection_new(
	const struct enlight_plugin *of, bool (*write)(void *context, struct bytes frames), void *context);
void connection_take(struct enlight *e, struct bytes frame); /* one frame of the node's */
void connection_idle(struct enlight *e);         /* nothing more came for now: what was gathered is delivered */
int connection_wait_ms(const struct enlight *e); /* until a Beat is due; -1: none will be */
void connection_eof(struct enlight *e);          /* the node is gone */
void connection_flush(struct enlight *e);

/* Ends the conversation with an exit status, and a line on stderr that says why. */
void connection_fail(struct enlight *e, int status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Calls `stop` when `start` was, and frees. */
void connection_free(struct enlight *e);

/* Makes a text one line of UTF-8, in place; what was cut inside a character loses its rest. */
void text_tidy(char *text);

/* Reads settings by a table: from a text that stands in `file`, or from the file itself when there is none. `values` is a new
 * struct of `size` bytes that lives as long as the connection. 0; SETTINGS_BAD: every mistake was logged; -ENOMEM. */
int own_settings_read(struct enlight *e, void **values, const struct enlight_setting *rows, size_t size,
	const char *file, const char *folder, const char *text);
void own_settings_free(struct enlight *e);

#endif
