/* A copy of the store for a backup: begun, looked at, fetched, and done with. The node makes it beside its work; who asked looks on
 * and fetches it. That it is made is in the audit trail before it begins, so that the copy says it too. */
#include "api/handlers.h"

#include "api/request.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static json_t *progress(const struct request *rq)
{
	return rq->api->options.ops->backup(rq->api->options.context);
}

static void begin(struct request *rq)
{
	char why[160] = "";
	int r;

	if (rq->not_durable) {
		request_problem(rq, REFUSED_NOT_DURABLE, NULL);
		return;
	}
	r = rq->api->options.ops->backup_begin(rq->api->options.context, why);
	if (r == 0)
		request_json(rq, 201, progress(rq));
	else if (r == -EBUSY)
		request_problem_at(rq, REFUSED_BUSY, "", "another backup is being made");
	else
		request_problem_at(rq, REFUSED_FAILED, "", why[0] != '\0' ? why : strerror(-r));
}

void handle_backup_begin(struct request *rq)
{
	const char *reason;

	if (!request_reason_given(rq, &reason))
		return;
	request_tell(rq, "store.backup", NULL, reason);
	request_when_kept(rq, begin);
}

static const char none[] = "no backup is being made; POST /v1/backup begins one";

void handle_backup(struct request *rq)
{
	json_t *json = progress(rq);

	if (json_is_null(json)) {
		json_decref(json);
		request_problem_at(rq, REFUSED_NOT_FOUND, "", none);
		return;
	}
	request_json(rq, 200, json);
}

void handle_backup_database(struct request *rq)
{
	uint64_t bytes;
	int fd = rq->api->options.ops->backup_file(rq->api->options.context, &bytes);

	if (fd < 0) {
		request_problem_at(rq, REFUSED_NOT_FOUND, "", "there is no backup that is ready");
		return;
	}
	rq->file = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (rq->file < 0) {
		rq->file = 0;
		request_out_of_memory(rq);
		return;
	}
	rq->file_bytes = bytes;
	rq->answered = true;
	rq->status = 200;
	rq->content_type = "application/octet-stream";
}

void handle_backup_end(struct request *rq)
{
	struct problems problems = {0};
	bool kept = request_flag(rq, "kept", &problems);

	if (problems.total > 0)
		request_problem(rq, REFUSED_PARAMETER, &problems);
	else if (rq->api->options.ops->backup_end(rq->api->options.context, kept ? request_wait(rq) : 0, kept) != 0)
		request_problem_at(rq, REFUSED_NOT_FOUND, "", none);
	else
		request_acted(rq, 200, json_pack("{s:b}", "kept", kept));
	if (rq->answered)
		rq->tag = 0;
	problems_deinit(&problems);
}
