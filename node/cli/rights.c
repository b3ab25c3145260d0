#include "cli/rights.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINKS_MAX = 40 };

/* Also while another user's are taken: the saved one stays. */
static bool root_called(void)
{
	uid_t real, effective, saved;

	return getresuid(&real, &effective, &saved) == 0 && saved == 0;
}

static char *absolute(const char *path)
{
	char *here = *path == '/' ? strdup("") : realpath(".", NULL), *whole;

	if (here == NULL || asprintf(&whole, "%s/%s", here, path) < 0)
		whole = NULL;
	free(here);
	return whole;
}

/* The path with the link that its part `link` is replaced by where it leads; NULL: errno says why. */
static char *follow(const char *link, const char *rest)
{
	char target[PATH_MAX], *whole;
	ssize_t n = readlink(link, target, sizeof target - 1);
	size_t folder = (size_t)(strrchr(link, '/') - link);

	if (n < 0)
		return NULL;
	target[n] = '\0';
	if (*target == '/')
		folder = 0;
	return asprintf(&whole, "%.*s/%s%s", (int)folder, link, target, rest) < 0 ? NULL : whole;
}

/* Looks at the part of the path that ends at `*end`; after a link of root's at another path, from its beginning. */
static int look_at_part(uid_t *owner, char **whole, size_t *end)
{
	char *part = strndup(*whole, *end), *other;
	struct stat st;
	int r = 0;

	if (part == NULL || lstat(part, &st) < 0) {
		r = -errno;
		goto out;
	}
	*owner = st.st_uid;
	if (*owner != 0 || !S_ISLNK(st.st_mode))
		goto out;
	other = follow(part, *whole + *end);
	if (other == NULL) {
		r = -errno;
		goto out;
	}
	free(*whole);
	*whole = other;
	*end = 0;
out:
	free(part);
	return r;
}

/* The parts are looked at from the root on: what root alone owns above a part nobody else can exchange. */
int rights_owner(uid_t *out, const char *path)
{
	unsigned n_links = 0;
	size_t end = 0;
	char *whole;
	int r = 0;

	*out = 0;
	if (!root_called())
		return 0;
	whole = absolute(path);
	if (whole == NULL)
		return -errno;
	while (r == 0 && *out == 0 && whole[end] != '\0') {
		end += 1 + strcspn(whole + end + 1, "/");
		r = look_at_part(out, &whole, &end);
		if (end == 0 && ++n_links > LINKS_MAX)
			r = -ELOOP;
	}
	free(whole);
	return r == -ENOENT ? 0 : r; /* who could make it owns what it would be in */
}

bool rights_shared(const char *folder)
{
	struct stat st;

	return root_called() && stat(folder, &st) == 0 && (st.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

int rights_take(uid_t owner)
{
	const struct passwd *user;

	if (!root_called())
		return 0;
	if (seteuid(0) < 0 || setegid(getgid()) < 0)
		return -errno;
	if (owner == 0)
		return 0; /* groups that help along are no matter to root */
	errno = 0;
	user = getpwuid(owner);
	if (user == NULL)
		return errno != 0 ? -errno : -ENOENT;
	return initgroups(user->pw_name, user->pw_gid) < 0 || setegid(user->pw_gid) < 0 || seteuid(owner) < 0 ? -errno
													      : 0;
}
