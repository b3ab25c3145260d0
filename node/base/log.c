#include "base/log.h"

#include "base/bytes.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <systemd/sd-journal.h>
#include <time.h>
#include <unistd.h>

enum sink { SINK_TEXT, SINK_JSON, SINK_JOURNAL };
enum { PAIRS_MAX = 16, LINE_MAX_LEN = 2048 };

static const struct {
	const char *name;
	int priority;
} levels[] = {
	[LOG_LEVEL_ERROR] = {"error", LOG_ERR},
	[LOG_LEVEL_WARN] = {"warn", LOG_WARNING},
	[LOG_LEVEL_INFO] = {"info", LOG_INFO},
	[LOG_LEVEL_DEBUG] = {"debug", LOG_DEBUG},
};

/* The one exception to "no state at file scope": every layer logs, and this is written once, before threads start. */
static struct {
	enum log_level level;
	enum sink sink;
} setup = {LOG_LEVEL_INFO, SINK_TEXT};

/* A line cut into its parts; views of the line. */
struct parts {
	struct bytes subject; /* may be empty */
	struct bytes text;
	struct pair {
		struct bytes name, value;
	} pairs[PAIRS_MAX];
	size_t n_pairs;
};

/* systemd sets JOURNAL_STREAM to the device and inode of the stream it connected; a redirected stderr differs. */
static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 && fstat(STDERR_FILENO, &st) == 0 &&
	       st.st_dev == (dev_t)device && st.st_ino == (ino_t)inode;
}

void log_open(void)
{
	const char *wanted = getenv("ENLIGHT_LOG");

	for (size_t i = 0; wanted != NULL && i < sizeof levels / sizeof *levels; i++) {
		if (strcmp(wanted, levels[i].name) == 0)
			setup.level = (enum log_level)i;
	}
	if (stderr_is_journal())
		setup.sink = SINK_JOURNAL;
	else
		setup.sink = isatty(STDERR_FILENO) ? SINK_TEXT : SINK_JSON;
}

/* Length of the UTF-8 character at `s` (RFC 3629, no surrogates, no overlong forms); 0: not one. Stops at a NUL by itself. */
static size_t utf8_len(const unsigned char *s)
{
	size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : 4;

	if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
		(s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

/* One line stays one line, and valid UTF-8, whatever a peer put into a name. */
static void clean(char *line)
{
	unsigned char *s = (unsigned char *)line;
	size_t n;

	while (*s != '\0') {
		n = utf8_len(s);
		if (n == 0 || *s < 0x20 || *s == 0x7f) {
			*s = '?';
			n = 1;
		}
		s += n;
	}
}

/* Length of `name=` at the start of a word; 0: no pair starts here. */
static size_t pair_name_len(const char *word)
{
	size_t n = 0;

	while (islower((unsigned char)word[n]) || (n != 0 && (isdigit((unsigned char)word[n]) || word[n] == '_')))
		n++;
	return n != 0 && word[n] == '=' ? n : 0;
}

/* The next word that begins a pair, at or after `s`; the end of the line when there is none. */
static const char *next_pair(const char *s, const char *line)
{
	for (; *s != '\0'; s++) {
		if ((s == line || s[-1] == ' ') && pair_name_len(s) != 0)
			return s;
	}
	return s;
}

static struct bytes trimmed(const char *start, const char *end)
{
	while (end > start && end[-1] == ' ')
		end--;
	if (end - start >= 2 && *start == '"' && end[-1] == '"') {
		start++;
		end--;
	}
	return bytes_of(start, (size_t)(end - start));
}

/* A value reaches to the next pair, so that it may hold spaces. */
static void take_apart(struct parts *out, const char *line)
{
	const char *colon = strstr(line, ": ");
	const char *at = line, *pair, *end;
	size_t name_len;

	*out = (struct parts){0};
	if (colon != NULL && memchr(line, ' ', (size_t)(colon - line)) == NULL) {
		out->subject = bytes_of(line, (size_t)(colon - line));
		at = colon + 2;
	}
	pair = next_pair(at, line);
	out->text = trimmed(at, pair);
	while (*pair != '\0' && out->n_pairs < PAIRS_MAX) {
		name_len = pair_name_len(pair);
		end = next_pair(pair + name_len + 1, line);
		out->pairs[out->n_pairs++] = (struct pair){bytes_of(pair, name_len), trimmed(pair + name_len + 1, end)};
		pair = end;
	}
}

static void write_line(const struct buffer *b)
{
	/* One write for one line, so that lines of several threads do not mix. There is nobody to tell when it fails. */
	if (b->error == 0 && write(STDERR_FILENO, b->data, b->len) < 0)
		return;
}

static void json_text(struct buffer *b, const char *name, struct bytes value)
{
	buffer_printf(b, "\"%s\": \"", name);
	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] == '"' || value.data[i] == '\\')
			buffer_str(b, "\\");
		buffer_add(b, &value.data[i], 1);
	}
	buffer_str(b, "\"");
}

static void send_json(enum log_level level, const struct parts *p)
{
	struct buffer b = {0};
	struct timespec now;
	struct tm tm;
	char name[64], text[64];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &tm);
	buffer_printf(&b, "{\"time\": \"%s.%03ldZ\", ", text, now.tv_nsec / 1000000);
	json_text(&b, "level", bytes_str(levels[level].name));
	buffer_str(&b, ", ");
	json_text(&b, "subject", p->subject);
	buffer_str(&b, ", ");
	json_text(&b, "message", p->text);
	buffer_str(&b, ", \"fields\": {");
	for (size_t i = 0; i < p->n_pairs; i++) {
		snprintf(name, sizeof name, "%.*s", (int)p->pairs[i].name.len, (const char *)p->pairs[i].name.data);
		buffer_str(&b, i == 0 ? "" : ", ");
		json_text(&b, name, p->pairs[i].value);
	}
	buffer_str(&b, "}}\n");
	write_line(&b);
	buffer_deinit(&b);
}

static void send_text(enum log_level level, const char *line)
{
	struct buffer b = {0};
	time_t now = time(NULL);
	struct tm tm;
	char text[32];

	localtime_r(&now, &tm);
	strftime(text, sizeof text, "%H:%M:%S", &tm);
	buffer_printf(&b, "%s %-5s %s\n", text, levels[level].name, line);
	write_line(&b);
	buffer_deinit(&b);
}

/* "ENLIGHT_PEER=ut.ee": a field that `journalctl ENLIGHT_PEER=ut.ee` finds. */
static void journal_field(struct buffer *b, struct bytes name, struct bytes value)
{
	char upper;

	buffer_str(b, "ENLIGHT_");
	for (size_t i = 0; i < name.len; i++) {
		upper = (char)toupper(name.data[i]);
		buffer_add(b, &upper, 1);
	}
	buffer_str(b, "=");
	buffer_add(b, value.data, value.len);
}

static void send_journal(enum log_level level, const char *line, const struct parts *p)
{
	struct buffer fields[PAIRS_MAX + 3] = {0};
	struct iovec iov[PAIRS_MAX + 3];
	size_t n = 0;

	buffer_printf(&fields[n++], "MESSAGE=%s", line);
	buffer_printf(&fields[n++], "PRIORITY=%d", levels[level].priority);
	journal_field(&fields[n++], bytes_str("subject"), p->subject);
	for (size_t i = 0; i < p->n_pairs; i++)
		journal_field(&fields[n++], p->pairs[i].name, p->pairs[i].value);
	for (size_t i = 0; i < n; i++)
		iov[i] = (struct iovec){fields[i].data, fields[i].error == 0 ? fields[i].len : 0};
	sd_journal_sendv(iov, (int)n);
	for (size_t i = 0; i < n; i++)
		buffer_deinit(&fields[i]);
}

void log_line(enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	char line[LINE_MAX_LEN];
	struct parts parts;
	va_list args;

	if (level > setup.level)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof line, format, args);
	va_end(args);
	clean(line);
	take_apart(&parts, line);
	if (setup.sink == SINK_JOURNAL)
		send_journal(level, line, &parts);
	else if (setup.sink == SINK_JSON)
		send_json(level, &parts);
	else
		send_text(level, line);
	errno = saved_errno;
}
