#include "core/handle.h"

#include "core/limits.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool handle_valid(const char *handle)
{
	size_t label = 0, dots = 0, i;

	for (i = 0; handle[i] != '\0'; i++) {
		char c = handle[i];
		bool edge = label == 0 || handle[i + 1] == '.' || handle[i + 1] == '\0';

		if (i >= HANDLE_MAX)
			return false;
		if (c == '.') {
			if (label == 0)
				return false;
			dots++;
			label = 0;
			continue;
		}
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || (c == '-' && !edge)))
			return false;
		label++;
	}
	return dots > 0 && label > 0;
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Joins sorted, distinct parts. */
static char *join(char *const *parts, size_t n)
{
	size_t len = 1;
	char *out, *p;

	for (size_t i = 0; i < n; i++)
		len += strlen(parts[i]) + 1;
	out = p = malloc(len);
	if (out == NULL)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (i > 0)
			*p++ = ',';
		p = stpcpy(p, parts[i]);
	}
	return out;
}

static const char *as_it_is(void *context, const char *name)
{
	(void)context;
	return name;
}

char *audience_normalise(const char *text, const char *publisher)
{
	return audience_resolve(text, publisher, as_it_is, NULL);
}

char *audience_resolve(const char *text, const char *publisher, handle_resolve resolve, void *context)
{
	char *parts[AUDIENCE_MAX + 1], *copy, *save = NULL, *out = NULL;
	size_t n = 0, kept = 0;
	bool self = false;

	errno = 0;
	copy = strdup(text);
	if (copy == NULL)
		return NULL;
	for (char *p = strtok_r(copy, ", ", &save); p != NULL; p = strtok_r(NULL, ", ", &save)) {
		const char *handle = resolve(context, p);

		p = handle == NULL ? p : (char *)handle; /* only read: what is borrowed stays whole */
		if (strcmp(p, publisher) == 0) {
			self = true;
			continue;
		}
		if (n == AUDIENCE_MAX || (!handle_valid(p) && strcmp(p, AUDIENCE_NETWORK) != 0))
			goto out;
		parts[n++] = p;
	}
	if (n == 0 && self)
		parts[n++] = (char *)publisher;
	if (n == 0)
		goto out;
	qsort(parts, n, sizeof *parts, compare);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || strcmp(parts[kept - 1], parts[i]) != 0)
			parts[kept++] = parts[i];
	out = join(parts, kept);
	if (out != NULL && !audience_valid(out)) { /* `network` among others */
		free(out);
		out = NULL;
	}
out:
	free(copy);
	return out;
}

char *audience_join(char *const *parts, size_t n)
{
	char *out;

	if (n == 0 || n > AUDIENCE_MAX)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (strchr(parts[i], ',') != NULL)
			return NULL;
	out = join(parts, n);
	if (out != NULL && !audience_valid(out)) {
		free(out);
		out = NULL;
	}
	return out;
}

size_t audience_split(char *copy, char **parts)
{
	char *save = NULL;
	size_t n = 0;

	for (char *p = strtok_r(copy, ",", &save); p != NULL && n < AUDIENCE_MAX; p = strtok_r(NULL, ",", &save))
		parts[n++] = p;
	return n;
}

bool audience_valid(const char *audience)
{
	char part[HANDLE_MAX + 1], last[HANDLE_MAX + 1] = "";
	size_t n = 0;

	if (strcmp(audience, AUDIENCE_NETWORK) == 0)
		return true;
	for (const char *p = audience;; p++) {
		size_t len = strcspn(p, ",");

		if (len > HANDLE_MAX || ++n > AUDIENCE_MAX)
			return false;
		memcpy(part, p, len);
		part[len] = '\0';
		if (!handle_valid(part) || strcmp(last, part) >= 0)
			return false;
		strcpy(last, part);
		p += len;
		if (*p == '\0')
			return true;
	}
}

bool audience_has(const char *audience, const char *member)
{
	size_t len = strlen(member);

	if (strcmp(audience, AUDIENCE_NETWORK) == 0)
		return true;
	for (const char *p = audience; p != NULL; p = strchr(p, ','), p = p == NULL ? NULL : p + 1)
		if (strncmp(p, member, len) == 0 && (p[len] == ',' || p[len] == '\0'))
			return true;
	return false;
}
