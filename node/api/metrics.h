/* metrics - writes the Prometheus text format (version 0.0.4) from rows that hold name, kind, unit and help.
 *
 * A metric is written whole: metric_begin() once, then its samples. Names follow Prometheus' rules, which metric_problem()
 * checks and a test holds every row to: `enlight_` in front, base units, counters end in `_total`. */
#ifndef ENLIGHT_API_METRICS_H
#define ENLIGHT_API_METRICS_H

#include "base/bytes.h"

enum metric_kind { METRIC_COUNTER = 1, METRIC_GAUGE, METRIC_HISTOGRAM };

struct metric {
	const char *name;
	enum metric_kind kind;
	const char *unit; /* "seconds", "bytes", ...: also in the name; "" for what is merely counted */
	const char *help; /* one line */
};

struct metric_label {
	const char *name, *value; /* the value may be any text */
};

/* A histogram's content. `bounds` rise, in the metric's unit; `counts` has n_bounds + 1 numbers, each of its own interval. */
struct metric_histogram {
	const double *bounds;
	size_t n_bounds;
	const uint64_t *counts;
	double sum;
};

void metric_begin(struct buffer *out, const struct metric *m);
void metric_sample(
	struct buffer *out, const struct metric *m, const struct metric_label *labels, size_t n_labels, double value);
void metric_histogram(struct buffer *out, const struct metric *m, const struct metric_label *labels, size_t n_labels,
	const struct metric_histogram *h);

/* metric_begin() and the only sample, without labels. */
void metric_single(struct buffer *out, const struct metric *m, double value);

/* What is wrong with a row; NULL: nothing. */
const char *metric_problem(const struct metric *m);

#endif
