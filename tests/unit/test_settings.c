#include "base/settings.h"
#include "base/settings_yaml.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

struct item {
	char *name;
	uint64_t weight;
};

struct sample {
	char *title, *file, *extra;
	uint64_t count, bytes, wait_ms;
	bool on;
	char **words;
	size_t n_words;
	struct item *items;
	size_t n_items;
	char *inner;
	struct item *weights;
	size_t n_weights;
};

static const char *no_x(const char *value)
{
	return strchr(value, 'x') != NULL ? "must not contain an x" : NULL;
}

#define AT(field) offsetof(struct sample, field)

static const struct setting inner_rows[] = {
	{"inner", SETTING_TEXT, AT(inner), .required = true, .example = "deep", .help = "Deep."},
	{0},
};

static const struct setting item_rows[] = {
	{"name", SETTING_TEXT, offsetof(struct item, name), .required = true, .help = "Its name."},
	{"weight", SETTING_NUMBER, offsetof(struct item, weight), .max = 9, .fallback = "3", .help = "Its weight."},
	{0},
};

static const struct setting rows[] = {
	{"title", SETTING_TEXT, AT(title), .required = true, .example = "a b", .check = no_x, .help = "The *title*."},
	{"file", SETTING_PATH, AT(file), .fallback = "some/file", .help = "A file."},
	{"count", SETTING_NUMBER, AT(count), .min = 2, .max = 100, .fallback = "7", .help = "How many."},
	{"bytes", SETTING_SIZE, AT(bytes), .min = 1024, .max = 1073741824, .fallback = "1MiB", .help = "How large."},
	{"wait", SETTING_DURATION, AT(wait_ms), .fallback = "30s", .help = "How long."},
	{"on", SETTING_FLAG, AT(on), .fallback = "true", .help = "Whether."},
	{"words", SETTING_TEXTS, AT(words), AT(n_words), .check = no_x, .example = "[a, b]", .help = "Words."},
	{"items", SETTING_GROUPS, AT(items), AT(n_items), .members = item_rows, .member_size = sizeof(struct item),
		.help = "Items."},
	{"extra", SETTING_FREE, AT(extra), .help = "Anything."},
	{"group", SETTING_GROUP, .members = inner_rows, .help = "A group."},
	{"weights", SETTING_ENTRIES, AT(weights), AT(n_weights), .members = item_rows,
		.member_size = sizeof(struct item), .help = "Weights."},
	{0},
};

/* Reads a text; all that is wrong comes back as one string of `line:column: rule` lines. */
static char *read_text(struct sample *out, const char *text, size_t len)
{
	static char said[32768];
	struct settings *s = settings_new("dir/f.yaml");
	struct problems problems = {0};
	int r;

	memset(out, 0, sizeof *out);
	said[0] = '\0';
	ck_assert_int_eq(settings_parse(s, out, rows, bytes_of(text, len)), 0);
	r = settings_finish(s, &problems);
	ck_assert_int_eq(r, problems.total == 0 ? 0 : SETTINGS_BAD);
	for (size_t i = 0; i < problems.n; i++) {
		ck_assert_msg(strncmp(problems.items[i].place, "dir/f.yaml", 10) == 0, "%s", problems.items[i].place);
		snprintf(said + strlen(said), sizeof said - strlen(said), "%s%s: %s", i == 0 ? "" : "\n",
			problems.items[i].place + strlen("dir/f.yaml:"), problems.items[i].rule);
	}
	problems_deinit(&problems);
	settings_free(s);
	return said;
}

/* A file may say everything in any order, in block or flow form; what it leaves out takes its default. */
START_TEST(test_values)
{
	static const char full[] =
		"# all of it\n"
		"wait: 2h\nbytes: 20KiB\ncount: 42\non: false\nfile: /abs/olute\n"
		"title: 'no'\nwords: [a, \"*\", c d]\n"
		"items:\n  - {name: one, weight: 0}\n  - name: two\n"
		"group: {inner: yes}\n"
		"weights: {alpha: 5, beta: {weight: 6}, \"a b\": {}}\n"
		"extra:\n  a: 1\n  b: [x, 2.50, true, null, \"3\", 007]\n  c: {d: \"q\\\"\\n\", e: }\n";
	struct sample got;

	ck_assert_str_eq(read_text(&got, full, strlen(full)), "");
	ck_assert_uint_eq(got.wait_ms, 7200000);
	ck_assert_uint_eq(got.bytes, 20480);
	ck_assert_uint_eq(got.count, 42);
	ck_assert(!got.on);
	ck_assert_str_eq(got.file, "/abs/olute");
	ck_assert_str_eq(got.title, "no");
	ck_assert_uint_eq(got.n_words, 3);
	ck_assert_str_eq(got.words[1], "*");
	ck_assert_str_eq(got.words[2], "c d");
	ck_assert_uint_eq(got.n_items, 2);
	ck_assert_uint_eq(got.items[0].weight, 0);
	ck_assert_str_eq(got.items[1].name, "two");
	ck_assert_uint_eq(got.items[1].weight, 3);
	ck_assert_str_eq(got.inner, "yes");
	ck_assert_uint_eq(got.n_weights, 3);
	ck_assert_str_eq(got.weights[0].name, "alpha");
	ck_assert_uint_eq(got.weights[0].weight, 5);
	ck_assert_uint_eq(got.weights[1].weight, 6);
	ck_assert_str_eq(got.weights[2].name, "a b");
	ck_assert_uint_eq(got.weights[2].weight, 3);
	ck_assert_str_eq(got.extra,
		"\n\n\n\n\n\n\n\n\n\n\n\n\n\n {\"a\":1,\n  \"b\":[\"x\",2.50,true,null, \"3\", \"007\"],\n"
		"  \"c\":{\"d\":\"q\\\"\\u000a\",\"e\":null}}");
	settings_release(&got, rows);

	ck_assert_str_eq(read_text(&got, "title: t\n", 9), "");
	ck_assert_str_eq(got.file, "dir/some/file");
	ck_assert_uint_eq(got.count, 7);
	ck_assert_uint_eq(got.bytes, 1048576);
	ck_assert_uint_eq(got.wait_ms, 30000);
	ck_assert(got.on);
	ck_assert_uint_eq(got.n_words, 0);
	ck_assert(got.extra == NULL && got.inner == NULL);
	settings_release(&got, rows);
}
END_TEST

static const struct {
	const char *name, *text, *said;
} broken[] = {
	{"empty", "", "1:1: missing setting \"title\""},
	{"comment only", "# nothing\n", "1:1: missing setting \"title\""},
	{"not a mapping", "[a]", "1:1: must be a group of settings (name: value)"},
	{"several at once", "titel: t\ncount: many\nwait: 30\nbytes: 1\non: yes\n",
		"1:1: unknown setting; did you mean \"title\"?\n1:1: missing setting \"title\"\n"
		"2:8: count: must be a whole number\n3:7: wait: must be a duration such as 30s, 5min or 7d\n"
		"4:8: bytes: must be a size such as 512KiB or 20GiB\n5:5: on: must be true or false"},
	{"range", "title: t\ncount: 101\nbytes: 2GiB\n",
		"2:8: count: must be between 2 and 100\n3:8: bytes: must be between 1KiB and 1GiB"},
	{"overflow", "title: t\ncount: 99999999999999999999\nwait: 9223372036854775807d\n",
		"2:8: count: must be a whole number\n3:7: wait: must be a duration such as 30s, 5min or 7d"},
	{"negative", "title: t\ncount: -1\n", "2:8: count: must be a whole number"},
	{"swapped letters", "title: t\ncuont: 5\n", "2:1: unknown setting; did you mean \"count\"?"},
	{"far off", "title: t\nbanana: 5\n", "2:1: unknown setting"},
	{"in another group", "title: t\ninner: 5\n", "2:1: unknown setting here; it belongs under \"group\""},
	{"twice", "title: t\ncount: 5\ncount: 6\n", "3:1: count: set before, in line 2"},
	{"no value", "title:\ncount:\n", "1:7: title: has no value\n2:7: count: has no value"},
	{"empty text", "title: ''\n", "1:8: title: must not be empty"},
	{"own check", "title: x\nwords: [a, box]\n",
		"1:8: title: must not contain an x\n2:12: words: must not contain an x"},
	{"line end in text", "title: |\n  a\n  b\n",
		"1:8: title: must not contain line ends or other control characters"},
	{"NUL", "title: \"a\\0b\"\n", "1:8: a text must not contain NUL"},
	{"list for text", "title: [t]\n", "1:8: title: must be text"},
	{"text for list", "title: t\nwords: a\n", "2:8: words: must be a list of texts such as [a, b]"},
	{"list in list", "title: t\nwords: [a, [b]]\n", "2:12: words: must be a list of texts such as [a, b]"},
	{"group for list", "title: t\nitems: {name: a}\n", "2:8: items: must be a list of groups of settings"},
	{"items", "title: t\nitems:\n  - {weight: 10}\n  - a\n  - {name: b, nam: c}\n",
		"3:5: missing setting \"name\"\n3:14: weight: must be between 0 and 9\n"
		"4:5: must be a group of settings (name: value)\n5:15: unknown setting; did you mean \"name\"?"},
	{"in a group", "title: t\ngroup:\n  iner: x\n",
		"2:1: missing setting \"inner\"\n3:3: unknown setting; did you mean \"inner\"?"},
	{"entries", "title: t\nweights:\n  a: 10\n  b: {wait: 1}\n  a: {weight: x}\n  c:\n  d: [1]\n  [e]: 1\n",
		"3:6: weight: must be between 0 and 9\n4:7: unknown setting\n"
		"5:3: a: set before, in line 3\n5:15: weight: must be a whole number\n6:5: weight: has no value\n"
		"7:6: weight: must be a whole number\n8:3: a name must be text"},
	{"entries as list", "title: t\nweights: [a]\n",
		"2:10: weights: must be names of your own, each with its value (name: value)"},
	{"free twice", "title: t\nextra:\n  a: 1\n  b: 2\n  a: 3\n", "5:3: set before, in line 3"},
	{"free as list", "title: t\nextra: [a]\n", "2:8: extra: must be any settings (name: value)"},
	{"anchor", "title: &a t\n", "1:8: anchors (&name) are not used here"},
	{"tag", "title: !!str t\ngroup: !x {inner: a}\n",
		"1:8: tags (!name) are not used here\n2:8: tags (!name) are not used here"},
	{"alias", "title: t\nwords: [a, *b]\n",
		"2:12: aliases (*name) are not used here; a text that begins with a star stands in quotes"},
	{"star", "title: t\nwords: [*]\n",
		"2:10: not YAML: did not find expected alphabetic or numeric character, while scanning an alias; "
		"a text that begins with a star stands in quotes"},
	{"second document", "title: t\n---\ntitle: u\n", "2:1: a second document (---) is not used here"},
	{"tab", "title: t\ngroup:\n\tinner: a\n",
		"3:1: not YAML: found character that cannot start any token, while scanning for the next token; "
		"indent with spaces, not tabs"},
	{"open quote", "title: \"t\n", "2:1: not YAML: found unexpected end of stream, while scanning a quoted scalar"},
	{"not UTF-8", "title: t\nfile: a\xff\n", "2:8: not UTF-8 text: invalid leading UTF-8 octet"},
	{"key is a list", "title: t\n? [a]\n: b\n", "2:3: a setting's name must be text"},
	{"too deep", "title: t\nextra: [[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]\n", "2:23: nested deeper than 16 levels"},
};

/* Every mistake in a file is named at once, each with its line and column, in the file's order. */
START_TEST(test_broken_files)
{
	struct sample got;

	ck_assert_msg(strcmp(read_text(&got, broken[_i].text, strlen(broken[_i].text)), broken[_i].said) == 0,
		"%s:\n%s\nwanted:\n%s", broken[_i].name, read_text(&got, broken[_i].text, strlen(broken[_i].text)),
		broken[_i].said);
	settings_release(&got, rows);
}
END_TEST

static const struct {
	const char *name, *text;
	bool exact; /* columns as well */
} kept[] = {
	{"block", "# first\n\nextra:\n    a:   1\n\n    b:\n        c:   x\n        # more\n        d:   y\ntitle: t\n",
		true},
	{"block list", "title: t\nextra:\n  a:\n    - x\n    - y\n  b:\n  - c:   1\n    d:   2\n  -   - z\n", true},
	{"flow, with room", "title: t\nextra: {a:   x,   b:   [1,   c],   d:   {e:   y}}\n", true},
	{"flow over lines", "extra: {a:   x,\n   b:\n   [1,\n c,\n   d],   e:   2}\n", true},
	{"quotes of its own", "extra:\n  \"a\": \"x\"\n  'b': 'y'\n", true},
	{"beside other letters", "extra:\n  \"\xc3\xa9\": [\"\xe2\x82\xac\", x,   y]\n", true},
	{"flow, narrow", "extra: {a: 1, b: [1, c, d], e: {f: g}, h: -1}\n", false},
	{"block, narrow", "extra:\n a: 1\n b: x\n c: true\n", false},
	{"nothing", "extra:\n  a:\n  b: \n\n  c: {d: , e: }\n", false},
	{"texts of several lines", "extra:\n  a: |\n    x\n    y\n  b: >\n    z\n\n    z\n  c: \"x\n    y\"\n  d: 1\n",
		false},
	{"explicit keys", "extra:\n  ? a\n  : x\n  ? b\n  : - y\n    - z\n", false},
	{"what JSON escapes", "extra:\n  a: \"q\\\"\\t\\\\\"\n  b: 'x\"'\n  \"c\\\"\": 1\n", false},
	{"what YAML reads otherwise", "extra:\n  a: ': x'\n  b: '# y'\n  c: '*z'\n  d: \"- 1\"\n  e: '{'\n", false},
};

static bool same_text(const struct yaml_node *a, const struct yaml_node *b)
{
	return strcmp(a->kind == YAML_EMPTY ? "null" : a->text, b->text) == 0;
}

/* Whether a node of the file came back as the same at the same place. */
static void same_node(const struct yaml_node *a, const struct yaml_node *b, bool exact)
{
	bool whole = a->kind == YAML_MAP || a->kind == YAML_LIST;

	ck_assert_msg(a->kind == b->kind || (a->kind == YAML_EMPTY && b->kind == YAML_TEXT), "kind of %s", a->text);
	ck_assert_uint_eq(a->n, b->n);
	ck_assert_msg(a->at.line == b->at.line, "%s: line %u, not %u", a->text, b->at.line, a->at.line);
	ck_assert_msg(!exact || b->at.column == a->at.column || (whole && b->at.column + 1 == a->at.column),
		"%s: column %u, not %u", a->text, b->at.column, a->at.column);
	ck_assert_msg(same_text(a, b), "%s, not %s", b->text, a->text);
	for (size_t i = 0; i < a->n; i++)
		same_node(a->items[i], b->items[i], exact);
}

/* Free settings become JSON in which each name and value stands where it stood in the file, so that who reads them with
 * their own table names the file's line, and the column unless quotes took it. */
START_TEST(test_free_settings_keep_their_places)
{
	struct yaml_tree file = {0}, json = {0};
	struct yaml_faults faults = {0};
	const struct yaml_node *root, *again, *extra = NULL;
	struct buffer text = {0};

	ck_assert_int_eq(yaml_tree_parse(&file, &root, bytes_str(kept[_i].text), 16, &faults), 0);
	for (size_t i = 0; i < root->n; i += 2)
		extra = strcmp(root->items[i]->text, "extra") == 0 ? root->items[i + 1] : extra;
	yaml_json(&text, &faults, extra);
	ck_assert_ptr_nonnull(buffer_cstr(&text));
	ck_assert_msg(yaml_tree_parse(&json, &again, bytes_of(text.data, text.len), 16, &faults) == 0, "%s: %s",
		kept[_i].name, buffer_cstr(&text));
	same_node(extra, again, kept[_i].exact);
	ck_assert_uint_eq(faults.n, 0);
	buffer_deinit(&text);
	yaml_tree_deinit(&file);
	yaml_tree_deinit(&json);
	yaml_faults_deinit(&faults);
}
END_TEST

/* Far down in a file the white space has an end, the settings have none. */
START_TEST(test_free_settings_far_down)
{
	char *text = malloc(200100);
	struct sample got;

	memset(text, '\n', 200000);
	strcpy(text + 200000, "title: t\nextra: {a: b}\n");
	ck_assert_str_eq(read_text(&got, text, strlen(text)), "");
	ck_assert_uint_lt(strlen(got.extra), 65600);
	ck_assert_str_eq(got.extra + strspn(got.extra, "\n"), "{\"a\":\"b\"}");
	settings_release(&got, rows);
	free(text);
}
END_TEST

/* A file that cannot be read is a problem of the file, without a line; one that is too large is refused unread. */
START_TEST(test_unreadable_files)
{
	struct settings *s = settings_new("/nonexistent/f.yaml");
	struct problems problems = {0};
	struct sample got = {0};
	char *large;

	ck_assert_int_eq(settings_read(s, &got, rows), 0);
	ck_assert_int_eq(settings_finish(s, &problems), SETTINGS_BAD);
	ck_assert_str_eq(problems.items[0].place, "/nonexistent/f.yaml");
	ck_assert_str_eq(problems.items[0].rule, "cannot be read: No such file or directory");
	problems_deinit(&problems);
	settings_free(s);

	large = calloc(1, SETTINGS_FILE_MAX + 1);
	ck_assert_str_eq(read_text(&got, large, SETTINGS_FILE_MAX + 1), "1:1: larger than 1048576 bytes");
	free(large);
}
END_TEST

/* Files made to cost time or memory are refused soon: depth, endless lists, unknown names by the thousand. */
START_TEST(test_hostile_files)
{
	static const char *const units[] = {"[", "{", "- ", "? ", "a: {", "b,", "a: 1\n", "[a,", "'", "&a ", "*a ",
		"!a ", "a:\n ", "|\n", "---\n", "\xc3\xa9: "};
	struct sample got;
	char *text = malloc(SETTINGS_FILE_MAX + 1);
	size_t n, len;

	for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
		n = strlen(units[i]);
		for (len = 0; len + n <= 256 * 1024; len += n)
			memcpy(text + len, units[i], n);
		ck_assert_str_ne(read_text(&got, text, len), "");
		settings_release(&got, rows);
	}
	strcpy(text, "title: t\nwords: [");
	for (len = strlen(text); len < SETTINGS_FILE_MAX - 8; len += 2)
		memcpy(text + len, "a,", 2);
	text[len++] = ']';
	ck_assert_str_eq(read_text(&got, text, len), "2:8: words: more than 1000 items");
	settings_release(&got, rows);
	free(text);
}
END_TEST

/* Whatever bytes are flipped, left out or doubled in a file: an answer, no crash, no leak. */
START_TEST(test_mutations)
{
	static const char seed_text[] =
		"title: 'no'\nwords: [a, \"*\", c d]\nitems:\n  - {name: one, weight: 0}\n"
		"  - name: two\ngroup: {inner: yes}\nextra:\n  a: 1\n  b: [x, 2.5, true]\n  ? q\n  : |\n   z\n";
	static const char special[] = "\n\t:{}[]&*!|>'\"%@`,#-? \0\xff\xc3";
	uint8_t seed[32] = {7};
	uint32_t random[3000];
	struct sample got;
	char text[sizeof seed_text + 1];
	size_t len, at;

	randombytes_buf_deterministic(random, sizeof random, seed);
	for (size_t i = 0; i < 3000; i++) {
		len = sizeof seed_text - 1;
		memcpy(text, seed_text, len);
		for (uint32_t bits = random[i], k = 0; k <= i % 3; k++, bits = bits * 2654435761u + 1) {
			at = (bits >> 8) % len;
			if (bits % 3 == 0)
				text[at] = special[(bits >> 20) % (sizeof special - 1)];
			else if (bits % 3 == 1)
				memmove(text + at, text + at + 1, --len - at);
			else
				text[at] ^= (char)(1 << (bits >> 28) % 8);
		}
		read_text(&got, text, len);
		settings_release(&got, rows);
	}
}
END_TEST

/* The manual and the example are printed from the rows; the example is a file that can be read. */
START_TEST(test_documents)
{
	struct buffer out = {0};
	struct sample got;

	settings_manual(&out, rows);
	ck_assert(strstr(buffer_cstr(&out), "*title*\n\tThe \\*title\\*.++\nA value is text; required.\n\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "*items[].weight*\n\tIts weight.++\nA value is a whole number from 0 to 9. "
					    "Default: 3.\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "*group.inner*\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "*weights.NAME.weight*\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "*weights.NAME.name*\n") == NULL);
	buffer_clear(&out);
	settings_example(&out, rows, NULL, NULL);
	ck_assert(strstr(buffer_cstr(&out), "\n# The *title*.\ntitle: a b\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "\n# A group.\ngroup:\n  # Deep.\n  inner: deep\n") != NULL);
	ck_assert(strstr(buffer_cstr(&out), "\n#words: [a, b]\n") != NULL);
	ck_assert_str_eq(read_text(&got, buffer_cstr(&out), out.len), "");
	ck_assert_str_eq(got.title, "a b");
	settings_release(&got, rows);
	buffer_deinit(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("settings");
	TCase *tc = tcase_create("settings");

	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, test_values);
	tcase_add_loop_test(tc, test_broken_files, 0, sizeof broken / sizeof *broken);
	tcase_add_loop_test(tc, test_free_settings_keep_their_places, 0, sizeof kept / sizeof *kept);
	tcase_add_test(tc, test_free_settings_far_down);
	tcase_add_test(tc, test_unreadable_files);
	tcase_add_test(tc, test_hostile_files);
	tcase_add_test(tc, test_mutations);
	tcase_add_test(tc, test_documents);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
