#include "api/metrics.h"
#include "unit.h"

#include <math.h>

static const struct metric events = {"enlight_events_total", METRIC_COUNTER, "", "Events\nby \\topic"};
static const struct metric wait = {"enlight_wait_seconds", METRIC_HISTOGRAM, "seconds", "Waiting"};

static const char *text_of(struct buffer *b)
{
	const char *text = buffer_cstr(b);

	ck_assert_ptr_nonnull(text);
	return text;
}

/* Whatever a label's value is, the line stays one line and ends where it should. */
START_TEST(test_labels_are_escaped)
{
	struct metric_label labels[] = {{"topic", "a\"b\\c\nd"}, {"peer", ""}};
	struct buffer out = {0};

	metric_begin(&out, &events);
	metric_sample(&out, &events, labels, 2, 3);
	ck_assert_str_eq(text_of(&out), "# HELP enlight_events_total Events\\nby \\\\topic\n"
					"# TYPE enlight_events_total counter\n"
					"enlight_events_total{topic=\"a\\\"b\\\\c\\nd\",peer=\"\"} 3\n");
	buffer_deinit(&out);
}
END_TEST

/* Counters are written in full as long as a double holds them exactly. */
START_TEST(test_values)
{
	static const struct {
		double value;
		const char *text;
	} cases[] = {
		{0, "0"},
		{1234567890123, "1234567890123"},
		{9007199254740991, "9007199254740991"},
		{-5, "-5"},
		{0.5, "0.5"},
		{INFINITY, "+Inf"},
		{-INFINITY, "-Inf"},
		{NAN, "NaN"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buffer out = {0}, want = {0};

		metric_sample(&out, &events, NULL, 0, cases[i].value);
		buffer_printf(&want, "enlight_events_total %s\n", cases[i].text);
		ck_assert_str_eq(text_of(&out), text_of(&want));
		buffer_deinit(&out);
		buffer_deinit(&want);
	}
}
END_TEST

/* A histogram's buckets count what is at or below their bound, the last one everything. */
START_TEST(test_histograms_add_up)
{
	static const double bounds[] = {0.1, 1};
	static const uint64_t counts[] = {2, 0, 3};
	struct metric_histogram h = {.bounds = bounds, .n_bounds = 2, .counts = counts, .sum = 30.5};
	struct metric_label label = {"route", "/"};
	struct buffer out = {0};

	metric_histogram(&out, &wait, &label, 1, &h);
	ck_assert_str_eq(text_of(&out), "enlight_wait_seconds_bucket{route=\"/\",le=\"0.1\"} 2\n"
					"enlight_wait_seconds_bucket{route=\"/\",le=\"1\"} 2\n"
					"enlight_wait_seconds_bucket{route=\"/\",le=\"+Inf\"} 5\n"
					"enlight_wait_seconds_sum{route=\"/\"} 30.5\n"
					"enlight_wait_seconds_count{route=\"/\"} 5\n");
	buffer_deinit(&out);
}
END_TEST

/* A row that breaks a rule of naming is found. */
START_TEST(test_rows_are_checked)
{
	static const struct metric good[] = {
		{"enlight_events_total", METRIC_COUNTER, "", "Events"},
		{"enlight_sent_bytes_total", METRIC_COUNTER, "bytes", "Bytes"},
		{"enlight_wait_seconds", METRIC_HISTOGRAM, "seconds", "Waiting"},
		{"enlight_peers", METRIC_GAUGE, "", "Peers"},
	};
	static const struct metric bad[] = {
		{"events_total", METRIC_COUNTER, "", "x"},
		{"enlight_events", METRIC_COUNTER, "", "x"},
		{"enlight_peers_total", METRIC_GAUGE, "", "x"},
		{"enlight_Peers", METRIC_GAUGE, "", "x"},
		{"enlight_peers-now", METRIC_GAUGE, "", "x"},
		{"enlight_sent_total", METRIC_COUNTER, "bytes", "x"},
		{"enlight_wait_ms", METRIC_GAUGE, "ms", "x"},
		{"enlight_wait_count", METRIC_GAUGE, "", "x"},
		{"enlight_peers", METRIC_GAUGE, "", ""},
		{"enlight_peers", METRIC_GAUGE, "", "two\nlines"},
	};

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		ck_assert_msg(metric_problem(&good[i]) == NULL, "%s", good[i].name);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(metric_problem(&bad[i]) != NULL, "%s", bad[i].name);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tc = tcase_create("metrics");

	tcase_add_test(tc, test_labels_are_escaped);
	tcase_add_test(tc, test_values);
	tcase_add_test(tc, test_histograms_add_up);
	tcase_add_test(tc, test_rows_are_checked);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
