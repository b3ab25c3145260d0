/* asking - one request to the socket of a member's node, in as few calls as that takes. */
#ifndef ENLIGHT_TESTS_ASKING_H
#define ENLIGHT_TESTS_ASKING_H

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { ANSWER_MAX = 1 << 16, ANSWER_MS = 2000 };

/* Asks and reads for so long; the status, or 0: no answer. `answer` is all that came. */
static inline int ask_node(const char *handle, const char *method, const char *path, const char *body, long ms,
	char answer[static ANSWER_MAX])
{
	const struct timeval most = {ms / 1000, ms % 1000 * 1000};
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	char head[512];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
	size_t len = 0;
	ssize_t n;

	snprintf(at.sun_path, sizeof at.sun_path, "%s/api.sock", handle);
	snprintf(head, sizeof head,
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n%s%sContent-Length: %zu\r\n\r\n", method,
		path, *body != '\0' ? "Content-Type: application/" : "",
		*body == '\0'                     ? ""
		: strcmp(path, "/v1/events") == 0 ? "cloudevents+json\r\n"
						  : "json\r\n",
		strlen(body));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
	if (connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && send(fd, head, strlen(head), MSG_NOSIGNAL) > 0 &&
		send(fd, body, strlen(body), MSG_NOSIGNAL) >= 0)
		while (len < ANSWER_MAX - 1 && (n = read(fd, answer + len, ANSWER_MAX - 1 - len)) > 0)
			len += (size_t)n;
	answer[len] = '\0';
	close(fd);
	if (sscanf(answer, "HTTP/1.1 %d", &status) != 1)
		return 0;
	return status;
}

#endif
