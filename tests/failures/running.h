/* running - ugent.be's node in a process of its own, for verbs that ask it; it lacks nothing. */
#ifndef ENLIGHT_TESTS_RUNNING_H
#define ENLIGHT_TESTS_RUNNING_H

#include "core/event.h"
#include "asking.h"
#include "members.h"

#include <sys/wait.h>

static pid_t node;

/* An event for `enlight publish`, of the network's own. */
static inline void write_event(void)
{
	json_t *event = event_example(topic_find("course.offering"));

	json_object_del(event, "source");
	json_object_del(event, "id");
	json_object_del(event, "time");
	json_object_del(event, "enlightrevision");
	json_object_set_new(event, "enlightaudience", json_string("network"));
	ck_assert_int_eq(json_dump_file(event, "event.json", 0), 0);
	json_decref(event);
}

static inline void node_begin(void)
{
	int ready[2];
	char byte;

	ck_assert_int_eq(pipe(ready), 0);
	node = fork();
	if (node == 0) {
		quiet_begin();
		tell_when_ready = ready[1];
		exit(start_enlightd());
	}
	close(ready[1]);
	ck_assert_msg(read(ready[0], &byte, 1) == 1, "the node does not start");
	close(ready[0]);
}

static inline void node_end(void)
{
	int status;

	kill(node, SIGTERM);
	ck_assert_int_eq(waitpid(node, &status, 0), node);
	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the node ended with %d", status);
}

/* Publishes an event whose id begins so, with its number behind, from 1. */
static inline void node_publish(const char *kind)
{
	static unsigned n;
	char body[512], answer[ANSWER_MAX];

	n++;
	snprintf(body, sizeof body,
		"{\"specversion\":\"1.0\",\"type\":\"eu.enlight.course.offering.v1\",\"id\":\"%s-%u\",\"subject\":"
		"\"course/C%u\",\"enlightaudience\":\"network\",\"data\":{\"courseId\":\"C%u\",\"title\":[{\"lang\":"
		"\"en\",\"value\":\"A\"}]}}",
		kind, n, n, n);
	ck_assert_int_eq(ask_node("ugent.be", "POST", "/v1/events", body, ANSWER_MS, answer) / 100, 2);
}

/* The folder around it, too; with a plugin that rejects some (keep_plugin.c). */
static inline void node_start(void)
{
	char row[512];

	members_make();
	write_event();
	snprintf(row, sizeof row,
		"plugins:\n  - name: keep\n    command: ['%s']\n    topics: ['course.*']\n    own: true\n    "
		"memory_limit: "
		"0\n    settings: {words: words.yaml}\n",
		getenv("KEEP_PLUGIN"));
	ck_assert_int_eq(file_write("ugent.be/words.yaml", "mortal: true\n", 13, 0600), 0);
	members_node("ugent.be", members_ports[0], row);
	node_begin();
}

static inline void node_stop(void)
{
	node_end();
	members_remove();
}

#endif
