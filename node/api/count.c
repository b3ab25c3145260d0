/* The api's own metrics. */
#include "api/request.h"

#include <assert.h>
#include <stdio.h>

enum { M_ANSWERS, M_SECONDS, M_CONNECTIONS, M_STREAMS, M_EVENTS, M_BODY, M_HELD };

const struct metric api_metric_rows[] = {
	[M_ANSWERS] = {"enlight_api_answers_total", METRIC_COUNTER, "", "Answers given, by route and HTTP status"},
	[M_SECONDS] = {"enlight_api_answer_seconds", METRIC_HISTOGRAM, "seconds",
		"From a request's headers to its answer"},
	[M_CONNECTIONS] = {"enlight_api_connections", METRIC_GAUGE, "", "Open connections, by door"},
	[M_STREAMS] = {"enlight_api_streams", METRIC_GAUGE, "", "Open event streams"},
	[M_EVENTS] = {"enlight_api_stream_events_total", METRIC_COUNTER, "", "Events given to event streams"},
	[M_BODY] = {"enlight_api_body_bytes_total", METRIC_COUNTER, "bytes", "Bytes of request bodies taken in"},
	[M_HELD] = {"enlight_api_held_bytes", METRIC_GAUGE, "bytes", "Bytes of request bodies held now"},
};
const size_t n_api_metric_rows = sizeof api_metric_rows / sizeof *api_metric_rows;

static const double times[API_TIMES] = {0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 10};
static const unsigned statuses[] = {200, 201, 202, 400, 403, 404, 405, 409, 413, 415, 421, 422, 503, 507};
enum { N_STATUSES = sizeof statuses / sizeof *statuses };
static_assert((int)N_STATUSES <= (int)API_STATUSES, "a column for each status");

void api_count(struct api *a, const struct request *rq)
{
	size_t route = rq->route == NULL ? API_ROUTES_MAX : (size_t)(rq->route - routes), i = 0;
	double seconds = (double)(a->now_ms - rq->begun_ms) / 1000;

	for (size_t k = 0; k < N_STATUSES; k++)
		if (statuses[k] == rq->status)
			a->counts.answers[route][k]++;
	while (i < API_TIMES && seconds > times[i])
		i++;
	a->counts.times[i]++;
	a->counts.seconds += seconds;
}

static void add_answers(const struct api *a, struct buffer *out)
{
	metric_begin(out, &api_metric_rows[M_ANSWERS]);
	for (size_t i = 0; i <= API_ROUTES_MAX; i++)
		for (size_t k = 0; k < N_STATUSES; k++) {
			const struct route *r = i < n_routes ? &routes[i] : NULL;
			char status[8];
			struct metric_label labels[] = {{"method", r == NULL ? "" : r->method},
				{"route", r == NULL ? "" : r->path}, {"status", status}};

			if (a->counts.answers[i][k] == 0)
				continue;
			snprintf(status, sizeof status, "%u", statuses[k]);
			metric_sample(out, &api_metric_rows[M_ANSWERS], labels, 3, (double)a->counts.answers[i][k]);
		}
}

static void add_connections(const struct api *a, struct buffer *out)
{
	metric_begin(out, &api_metric_rows[M_CONNECTIONS]);
	for (size_t i = 0; i < 2; i++) {
		const union MHD_DaemonInfo *info;
		struct metric_label label = {"door", a->doors[i].loopback ? "loopback" : "socket"};

		if (a->doors[i].daemon == NULL)
			continue;
		info = MHD_get_daemon_info(a->doors[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
		metric_sample(
			out, &api_metric_rows[M_CONNECTIONS], &label, 1, info == NULL ? 0 : info->num_connections);
	}
}

void api_metrics(struct api *a, struct buffer *out)
{
	struct metric_histogram h = {
		.bounds = times, .n_bounds = API_TIMES, .counts = a->counts.times, .sum = a->counts.seconds};

	add_answers(a, out);
	metric_begin(out, &api_metric_rows[M_SECONDS]);
	metric_histogram(out, &api_metric_rows[M_SECONDS], NULL, 0, &h);
	add_connections(a, out);
	metric_single(out, &api_metric_rows[M_STREAMS], (double)a->n_streams);
	metric_single(out, &api_metric_rows[M_EVENTS], (double)a->counts.events);
	metric_single(out, &api_metric_rows[M_BODY], (double)a->counts.body_bytes);
	metric_single(out, &api_metric_rows[M_HELD], (double)a->body_bytes);
	a->options.ops->metrics(a->options.context, out);
}
