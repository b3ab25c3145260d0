#include "api/metrics.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static const char *const kind_names[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};

/* In help texts a quote stands for itself; in label values it is escaped too. */
static void add_escaped(struct buffer *out, const char *text, bool quoted)
{
	for (; *text != '\0'; text++) {
		if (*text == '\\')
			buffer_str(out, "\\\\");
		else if (*text == '\n')
			buffer_str(out, "\\n");
		else if (*text == '"' && quoted)
			buffer_str(out, "\\\"");
		else
			buffer_add(out, text, 1);
	}
}

/* Whole numbers in full, others with as many digits as a double keeps. */
static void add_value(struct buffer *out, double value)
{
	if (isnan(value) || isinf(value))
		buffer_str(out, isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf");
	else if (value == floor(value) && fabs(value) < 9007199254740992.0)
		buffer_printf(out, "%.0f", value);
	else
		buffer_printf(out, "%.17g", value);
}

static void add_label(struct buffer *out, size_t i, const char *name, const char *value)
{
	buffer_str(out, i == 0 ? "{" : ",");
	buffer_str(out, name);
	buffer_str(out, "=\"");
	add_escaped(out, value, true);
	buffer_str(out, "\"");
}

static void add_sample(struct buffer *out, const char *name, const char *suffix, const struct metric_label *labels,
	size_t n_labels, const char *le, double value)
{
	buffer_str(out, name);
	buffer_str(out, suffix);
	for (size_t i = 0; i < n_labels; i++)
		add_label(out, i, labels[i].name, labels[i].value);
	if (le != NULL)
		add_label(out, n_labels, "le", le);
	buffer_str(out, n_labels > 0 || le != NULL ? "} " : " ");
	add_value(out, value);
	buffer_str(out, "\n");
}

void metric_begin(struct buffer *out, const struct metric *m)
{
	buffer_printf(out, "# HELP %s ", m->name);
	add_escaped(out, m->help, false);
	buffer_printf(out, "\n# TYPE %s %s\n", m->name, kind_names[m->kind]);
}

void metric_sample(
	struct buffer *out, const struct metric *m, const struct metric_label *labels, size_t n_labels, double value)
{
	add_sample(out, m->name, "", labels, n_labels, NULL, value);
}

void metric_histogram(struct buffer *out, const struct metric *m, const struct metric_label *labels, size_t n_labels,
	const struct metric_histogram *h)
{
	double below = 0;

	for (size_t i = 0; i <= h->n_bounds; i++) {
		struct buffer le = {0};

		below += (double)h->counts[i];
		if (i == h->n_bounds)
			buffer_str(&le, "+Inf");
		else
			buffer_printf(&le, "%g", h->bounds[i]);
		if (buffer_cstr(&le) == NULL)
			out->error = le.error;
		else
			add_sample(out, m->name, "_bucket", labels, n_labels, buffer_cstr(&le), below);
		buffer_deinit(&le);
	}
	add_sample(out, m->name, "_sum", labels, n_labels, NULL, h->sum);
	add_sample(out, m->name, "_count", labels, n_labels, NULL, below);
}

void metric_single(struct buffer *out, const struct metric *m, double value)
{
	metric_begin(out, m);
	metric_sample(out, m, NULL, 0, value);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static bool has_word(const char *name, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = name; (p = strstr(p, word)) != NULL; p++)
		if (p > name && p[-1] == '_' && (p[len] == '\0' || p[len] == '_'))
			return true;
	return false;
}

const char *metric_problem(const struct metric *m)
{
	static const char *const not_base[] = {"ms", "us", "milliseconds", "minutes", "kib", "mib", "kilobytes"};

	if (strncmp(m->name, "enlight_", 8) != 0)
		return "does not begin with enlight_";
	for (const char *p = m->name; *p != '\0'; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
			return "characters other than a-z, 0-9 and _";
	if ((m->kind == METRIC_COUNTER) != ends_with(m->name, "_total"))
		return "counters, and only they, end in _total";
	if (m->unit[0] != '\0' && !has_word(m->name, m->unit))
		return "the unit is not in the name";
	for (size_t i = 0; i < sizeof not_base / sizeof *not_base; i++)
		if (has_word(m->name, not_base[i]))
			return "not a base unit";
	if (ends_with(m->name, "_count") || ends_with(m->name, "_sum") || ends_with(m->name, "_bucket"))
		return "an ending that belongs to histograms";
	if (m->help[0] == '\0' || strchr(m->help, '\n') != NULL)
		return "help is not one line";
	return NULL;
}
