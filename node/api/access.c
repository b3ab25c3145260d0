#include "api/access.h"

#include "core/topic.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* The supplementary groups: the kernel says -ERANGE and how much room they need. The primary group is put in front. */
static int peer_groups(struct api_peer *p, int fd, gid_t primary)
{
	socklen_t len = 32 * sizeof(gid_t);

	for (;;) {
		gid_t *groups = malloc(sizeof(gid_t) + len);

		if (groups == NULL)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &len) == 0) {
			groups[0] = primary;
			p->groups = groups;
			p->n_groups = 1 + len / sizeof(gid_t);
			return 0;
		}
		free(groups);
		if (errno != ERANGE)
			return -errno;
	}
}

int access_peer_of(struct api_peer *out, int fd)
{
	struct ucred cred;
	socklen_t len = sizeof cred;

	*out = (struct api_peer){0};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) != 0)
		return -errno;
	out->uid = cred.uid;
	return peer_groups(out, fd, cred.gid);
}

void api_peer_deinit(struct api_peer *p)
{
	free(p->groups);
	*p = (struct api_peer){0};
}

void access_name(char *out, size_t size, unsigned uid)
{
	FILE *f = fopen("/etc/passwd", "re");
	struct passwd row, *found;
	char line[1024];

	out[0] = '\0';
	while (f != NULL && out[0] == '\0' && fgetpwent_r(f, &row, line, sizeof line, &found) == 0)
		if (row.pw_uid == uid)
			snprintf(out, size, "%s", row.pw_name);
	if (f != NULL)
		fclose(f);
}

static bool row_covers(const struct api_access *row, const struct api_peer *p)
{
	if (row->by_uid)
		return row->id == p->uid;
	for (size_t i = 0; i < p->n_groups; i++)
		if (p->groups[i] == row->id)
			return true;
	return false;
}

unsigned access_roles(const struct access *a, const struct api_peer *p)
{
	unsigned roles = ACCESS_ANYONE;

	if (p->uid == 0 || p->uid == a->owner_uid)
		roles |= ACCESS_OPERATOR;
	for (size_t i = 0; i < a->n_rows; i++) {
		const struct api_access *row = &a->rows[i];

		if (!row_covers(row, p))
			continue;
		roles |= row->operator_ ? ACCESS_OPERATOR : 0;
		roles |= row->n_read > 0 ? ACCESS_READER : 0;
		roles |= row->n_publish > 0 ? ACCESS_PUBLISHER : 0;
	}
	return roles;
}

static bool any_matches(char *const *patterns, size_t n, const char *topic)
{
	for (size_t i = 0; i < n; i++)
		if (topic_matches(patterns[i], topic))
			return true;
	return false;
}

bool access_may_publish(const struct access *a, const struct api_peer *p, const char *topic)
{
	if (access_roles(a, p) & ACCESS_OPERATOR)
		return true;
	for (size_t i = 0; i < a->n_rows; i++)
		if (row_covers(&a->rows[i], p) && any_matches(a->rows[i].publish, a->rows[i].n_publish, topic))
			return true;
	return false;
}

bool access_may_read(const struct access *a, const struct api_peer *p, const char *topic)
{
	if (access_roles(a, p) & ACCESS_OPERATOR)
		return true;
	for (size_t i = 0; i < a->n_rows; i++)
		if (row_covers(&a->rows[i], p) && any_matches(a->rows[i].read, a->rows[i].n_read, topic))
			return true;
	return false;
}

static void free_patterns(char **patterns, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(patterns[i]);
	free(patterns);
}

int access_readable(const struct access *a, const struct api_peer *p, char ***out, size_t *n)
{
	size_t max = 0;
	char **patterns;

	*out = NULL;
	*n = 0;
	if (access_roles(a, p) & ACCESS_OPERATOR)
		return 0;
	for (size_t i = 0; i < a->n_rows; i++)
		max += a->rows[i].n_read;
	patterns = calloc(max + 1, sizeof *patterns);
	if (patterns == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < a->n_rows; i++) {
		if (!row_covers(&a->rows[i], p))
			continue;
		for (size_t k = 0; k < a->rows[i].n_read; k++) {
			patterns[*n] = strdup(a->rows[i].read[k]);
			if (patterns[*n] == NULL) {
				free_patterns(patterns, *n);
				*n = 0;
				return -ENOMEM;
			}
			(*n)++;
		}
	}
	*out = patterns;
	return 0;
}
