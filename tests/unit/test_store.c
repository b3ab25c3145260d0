#include "core/trust.h"
#include "memory_ledger.h"
#include "notes.h"
#include "store/store.h"
#include "unit.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What core relies on must hold for every ledger: each test runs over all of them. */

static char folder[128];
static struct store *store;
static struct store_reader *reader;
static struct memory_ledger *memory;
static const struct ledger_ops *ops;
static const struct archive_ops *archive_ops;
static void *ledger, *archive;

static void open_sqlite(void)
{
	struct store_options options = {.folder = folder};
	char *why = NULL;

	ck_assert_msg(store_open(&store, "sqlite:node.db", &options, &why) == 0, "%s", why);
	ck_assert_int_eq(store_reader_open(&reader, store), 0);
	ops = &store_ledger_ops;
	archive_ops = &store_archive_ops;
	ledger = store;
	archive = reader;
}

static void close_sqlite(void)
{
	store_reader_close(reader);
	store_close(store);
}

static void start_sqlite(void)
{
	unit_folder(folder, sizeof folder);
	open_sqlite();
}

static void end_sqlite(void)
{
	close_sqlite();
	unit_folder_remove(folder);
}

static void start_memory(void)
{
	memory = memory_ledger_new();
	ck_assert_ptr_nonnull(memory);
	ops = &memory_ledger_ops;
	archive_ops = &memory_archive_ops;
	ledger = archive = memory;
}

static void end_memory(void)
{
	memory_ledger_free(memory);
}

static void begin(void)
{
	if (ops == &memory_ledger_ops)
		memory_ledger_begin(memory);
	else
		ck_assert_int_eq(store_begin(store), 0);
}

static void commit(void)
{
	if (ops == &memory_ledger_ops)
		memory_ledger_commit(memory);
	else
		ck_assert_int_eq(store_commit(store), 0);
}

static void undo(void)
{
	if (ops == &memory_ledger_ops)
		memory_ledger_rollback(memory);
	else
		store_rollback(store);
}

/* What is committed is there after the node was stopped and started. */
static void restart(void)
{
	struct memory_ledger *copy;

	if (ops != &memory_ledger_ops) {
		close_sqlite();
		open_sqlite();
		return;
	}
	copy = memory_ledger_copy(memory);
	ck_assert_ptr_nonnull(copy);
	memory_ledger_free(memory);
	ledger = archive = memory = copy;
}

/* Sample rows */

static struct digest digest_of(uint8_t tag)
{
	struct digest d;

	memset(d.bytes, tag, sizeof d.bytes);
	return d;
}

static struct index_key name_of(uint8_t tag)
{
	struct index_key k;

	memset(k.bytes, tag, sizeof k.bytes);
	return k;
}

static uint64_t add_channel(const char *publisher, const char *audience)
{
	char copy[64];
	struct channel_row row = {.audience = copy};

	snprintf(copy, sizeof copy, "%s", audience);
	snprintf(row.publisher, sizeof row.publisher, "%s", publisher);
	ck_assert_int_eq(ops->channel_put(ledger, &row), 0);
	ck_assert_uint_ne(row.id, 0);
	return row.id;
}

static const uint8_t signature[SIGNATURE_LEN] = {7};

static int try_batch(uint64_t number, uint64_t channel, uint64_t first, uint32_t count, struct bytes body)
{
	char header[64];
	struct batch_row row = {.number = number,
		.channel = channel,
		.incarnation = 1,
		.first = first,
		.count = count,
		.digest = digest_of((uint8_t)first),
		.signature = bytes_of(signature, sizeof signature),
		.body = body,
		.wrapped = bytes_str("wrapped"),
		.stored_ms = 1700000000000};

	snprintf(header, sizeof header, "header of %ju", (uintmax_t)first);
	row.header = bytes_str(header);
	return ops->batch_add(ledger, &row);
}

static uint64_t add_batch(uint64_t channel, uint64_t first, uint32_t count)
{
	uint64_t number = ops->next_number(ledger);

	ck_assert_int_eq(try_batch(number, channel, first, count, bytes_str("body")), 0);
	return number;
}

static bool text_is(struct bytes b, const char *text)
{
	return bytes_equal(b, bytes_str(text));
}

/* A channel is found by publisher and audience, with all that was put. */
START_TEST(test_channels)
{
	struct channel_row row, again;
	uint64_t id, other;

	begin();
	ck_assert_int_eq(ops->channel_find(ledger, "ugent.be", "network", &row), LEDGER_NONE);
	id = add_channel("ugent.be", "network");
	other = add_channel("ugent.be", "rug.nl,ut.ee");
	ck_assert_uint_ne(id, other);
	ck_assert_int_eq(ops->channel_find(ledger, "ugent.be", "network", &row), 0);
	row.incarnation = 2;
	row.first = 1;
	row.last = 40;
	row.head = digest_of(9);
	row.key = 3;
	row.uncovered = 1;
	row.bytes = 1000;
	row.stopped = true;
	ck_assert_int_eq(ops->channel_put(ledger, &row), 0);
	commit();
	restart();
	begin();
	ck_assert_int_eq(ops->channel_find(ledger, "ugent.be", "network", &again), 0);
	ck_assert_uint_eq(again.id, id);
	ck_assert_str_eq(again.publisher, "ugent.be");
	ck_assert_str_eq(again.audience, "network");
	ck_assert_uint_eq(again.incarnation, 2);
	ck_assert_uint_eq(again.first, 1);
	ck_assert_uint_eq(again.last, 40);
	ck_assert(digest_equal(&again.head, &row.head));
	ck_assert_uint_eq(again.key, 3);
	ck_assert_uint_eq(again.uncovered, 1);
	ck_assert_uint_eq(again.bytes, 1000);
	ck_assert(again.stopped);
	channel_row_deinit(&row);
	channel_row_deinit(&again);
	ck_assert_int_eq(ops->channel_find(ledger, "ugent.be", "rug.nl", &row), LEDGER_NONE);
	ck_assert_int_eq(ops->channel_find(ledger, "ut.ee", "network", &row), LEDGER_NONE);
	commit();
}
END_TEST

/* A channel is added once; replacing one that is not there says so. */
START_TEST(test_channels_are_not_doubled)
{
	struct channel_row row = {.publisher = "ugent.be", .audience = (char[]){"network"}};

	begin();
	add_channel("ugent.be", "network");
	ck_assert_int_eq(ops->channel_put(ledger, &row), -EEXIST);
	row.id = 77;
	ck_assert_int_eq(ops->channel_put(ledger, &row), LEDGER_NONE);
	commit();
}
END_TEST

/* What the disk changed of a batch can be put back; its place, numbers and time stay. */
START_TEST(test_mending)
{
	struct batch_row row, mended;
	uint64_t channel, number;

	begin();
	channel = add_channel("ut.ee", "network");
	number = add_batch(channel, 1, 10);
	commit();
	begin();
	mended = (struct batch_row){.number = number,
		.channel = 77,
		.first = 77,
		.count = 7,
		.digest = digest_of(5),
		.header = bytes_str("other header"),
		.signature = bytes_of(signature, sizeof signature),
		.body = bytes_str("other body"),
		.wrapped = bytes_str("other key")};
	ck_assert_int_eq(ops->batch_mend(ledger, &mended), 0);
	mended.number++;
	ck_assert_int_eq(ops->batch_mend(ledger, &mended), LEDGER_NONE);
	commit();
	restart();
	begin();
	ck_assert_int_eq(ops->batch_get(ledger, number, &row), 0);
	ck_assert(text_is(row.header, "other header"));
	ck_assert(text_is(row.body, "other body"));
	ck_assert(text_is(row.wrapped, "other key"));
	ck_assert(digest_equal(&row.digest, &mended.digest));
	ck_assert_uint_eq(row.channel, channel);
	ck_assert_uint_eq(row.first, 1);
	ck_assert_uint_eq(row.count, 10);
	ck_assert_uint_eq(row.incarnation, 1);
	ck_assert_uint_eq(row.stored_ms, 1700000000000);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, 10, &row), 0);
	commit();
}
END_TEST

/* A batch is found by number, by its last sequence and by any that it holds. */
START_TEST(test_batches)
{
	struct batch_row row;
	uint64_t channel, second;

	begin();
	channel = add_channel("ut.ee", "network");
	add_batch(channel, 1, 10);
	second = add_batch(channel, 11, 5);
	commit();
	restart();
	begin();
	ck_assert_int_eq(ops->batch_get(ledger, second, &row), 0);
	ck_assert_uint_eq(row.number, second);
	ck_assert_uint_eq(row.channel, channel);
	ck_assert_uint_eq(row.incarnation, 1);
	ck_assert_uint_eq(row.first, 11);
	ck_assert_uint_eq(row.count, 5);
	ck_assert_uint_eq(row.stored_ms, 1700000000000);
	ck_assert_uint_eq(row.digest.bytes[31], 11);
	ck_assert(text_is(row.header, "header of 11"));
	ck_assert(bytes_equal(row.signature, bytes_of(signature, sizeof signature)));
	ck_assert(text_is(row.body, "body"));
	ck_assert(text_is(row.wrapped, "wrapped"));
	ck_assert_int_eq(ops->batch_get(ledger, second + 1, &row), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, 10, &row), 0);
	ck_assert_uint_eq(row.first, 1);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, 9, &row), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_ending(ledger, channel + 1, 10, &row), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 1, &row), 0);
	ck_assert_uint_eq(row.first, 1);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 10, &row), 0);
	ck_assert_uint_eq(row.first, 1);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 11, &row), 0);
	ck_assert_uint_eq(row.first, 11);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 16, &row), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 0, &row), LEDGER_NONE);
	commit();
}
END_TEST

/* Numbers and places in a channel are taken once; a batch needs its channel; a body may be absent. */
START_TEST(test_what_a_batch_must_be)
{
	struct batch_row row;
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	ck_assert_int_eq(try_batch(1, channel, 1, 10, bytes_of(NULL, 0)), 0);
	ck_assert_int_eq(ops->batch_get(ledger, 1, &row), 0);
	ck_assert_ptr_null(row.body.data);
	ck_assert_int_eq(try_batch(1, channel, 11, 10, bytes_str("body")), -EEXIST);
	ck_assert_int_eq(try_batch(2, channel, 5, 6, bytes_str("body")), -EEXIST);
	ck_assert_int_eq(try_batch(2, channel + 1, 1, 1, bytes_str("body")), -EINVAL);
	ck_assert_int_eq(ops->batch_get(ledger, 2, &row), LEDGER_NONE);
	commit();
}
END_TEST

/* Positions end at 2^63: above, nothing is written and nothing found. */
START_TEST(test_positions_out_of_range)
{
	const uint64_t high = (uint64_t)1 << 63;
	struct receipt_row receipt = {
		.channel = 1, .reader = "rug.nl", .to = high, .packed = bytes_str("r"), .signature = signature};
	struct channel_row row = {.publisher = "ugent.be", .audience = (char[]){"network"}, .last = high};
	struct batch_row batch;
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	add_batch(channel, 1, 10);
	ck_assert_int_eq(try_batch(9, channel, high, 1, bytes_str("body")), -ERANGE);
	ck_assert_int_eq(try_batch(9, channel, high - 1, 2, bytes_str("body")), -ERANGE);
	ck_assert_int_eq(ops->channel_put(ledger, &row), -ERANGE);
	ck_assert_int_eq(ops->receipt_put(ledger, &receipt), -ERANGE);
	ck_assert_int_eq(ops->uncovered_add(ledger, channel, high), -ERANGE);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, high), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_get(ledger, UINT64_MAX, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, high, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, UINT64_MAX, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->set_aside(ledger, channel, UINT64_MAX, false), 0);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, 10, &batch), 0);
	commit();
}
END_TEST

/* An argument may be a view of the row that was found just before. */
START_TEST(test_views_as_arguments)
{
	struct batch_row row;
	struct place place = {1, 0};
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	add_batch(channel, 1, 10);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 4, &row), 0);
	ck_assert_int_eq(
		ops->fork_put(ledger, channel, row.header, row.signature, bytes_str("other"), row.signature), 0);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 4, &row), 0);
	row.number = 2;
	row.first = 11;
	ck_assert_int_eq(ops->batch_add(ledger, &row), 0);
	ck_assert_int_eq(ops->mark_add(ledger, &place, MARK_STALE, "old"), 0);
	ck_assert_int_eq(ops->batch_get(ledger, 2, &row), 0);
	ck_assert(text_is(row.header, "header of 1"));
	ck_assert(text_is(row.body, "body"));
	commit();
}
END_TEST

/* An event's name leads to its place; the first one stays. */
START_TEST(test_events)
{
	struct index_key a = name_of(1), b = name_of(2);
	struct place place = {.number = 4, .index = 17};

	begin();
	ck_assert_int_eq(ops->event_find(ledger, &a, &place), LEDGER_NONE);
	ck_assert_int_eq(ops->event_add(ledger, &a, &place), 0);
	place.index = 18;
	ck_assert_int_eq(ops->event_add(ledger, &a, &place), LEDGER_HELD);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->event(archive, &b, &place), LEDGER_NONE);
	place = (struct place){0};
	ck_assert_int_eq(archive_ops->event(archive, &a, &place), 0);
	ck_assert_uint_eq(place.number, 4);
	ck_assert_uint_eq(place.index, 17);
	begin();
	place = (struct place){0};
	ck_assert_int_eq(ops->event_find(ledger, &a, &place), 0);
	ck_assert_uint_eq(place.index, 17);
	commit();
}
END_TEST

/* An object's last revision is the one put last. */
START_TEST(test_objects)
{
	struct index_key a = name_of(1), b = name_of(2);
	struct object_row row = {.revision = 1, .data = digest_of(5), .leaf = digest_of(6), .place = {3, 9}};

	begin();
	ck_assert_int_eq(ops->object_put(ledger, &a, &row), 0);
	row = (struct object_row){.revision = 2, .data = digest_of(7), .leaf = digest_of(8), .place = {12, 1}};
	ck_assert_int_eq(ops->object_put(ledger, &a, &row), 0);
	commit();
	restart();
	begin();
	ck_assert_int_eq(ops->object_find(ledger, &b, &row), LEDGER_NONE);
	memset(&row, 0, sizeof row);
	ck_assert_int_eq(ops->object_find(ledger, &a, &row), 0);
	ck_assert_uint_eq(row.revision, 2);
	ck_assert_uint_eq(row.data.bytes[0], 7);
	ck_assert_uint_eq(row.leaf.bytes[0], 8);
	ck_assert_uint_eq(row.place.number, 12);
	ck_assert_uint_eq(row.place.index, 1);
	commit();
}
END_TEST

static int write_mark(void *context, uint32_t index, enum mark_kind kind, const char *text)
{
	buffer_printf(context, "%u %d %s\n", index, (int)kind, text);
	return 0;
}

/* Marks of a batch come by slot; a person is noted once for each batch. */
START_TEST(test_marks_and_persons)
{
	struct place places[] = {{3, 7}, {3, 2}, {4, 0}};
	struct index_key person = name_of(3);
	struct buffer text = {0};

	begin();
	ck_assert_int_eq(ops->person_add(ledger, &person, 3), 0);
	ck_assert_int_eq(ops->person_add(ledger, &person, 3), 0);
	ck_assert_int_eq(ops->person_add(ledger, &person, 4), 0);
	ck_assert_int_eq(ops->mark_add(ledger, &places[0], MARK_REFUSED, "first"), 0);
	ck_assert_int_eq(ops->mark_add(ledger, &places[1], MARK_STALE, "second"), 0);
	ck_assert_int_eq(ops->mark_add(ledger, &places[2], MARK_STALE, "of another batch"), 0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->marks(archive, 3, write_mark, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "2 2 second\n7 1 first\n");
	buffer_deinit(&text);
}
END_TEST

/* An uncovered slot is removed once. */
START_TEST(test_uncovered_slots)
{
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	ck_assert_int_eq(ops->uncovered_add(ledger, channel, 5), 0);
	ck_assert_int_eq(ops->uncovered_add(ledger, channel, 5), 0);
	commit();
	restart();
	begin();
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, 6), LEDGER_NONE);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel + 1, 5), LEDGER_NONE);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, 5), 0);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, 5), LEDGER_NONE);
	commit();
}
END_TEST

static int write_receipt(void *context, const struct receipt_row *row)
{
	buffer_printf(context, "%ju %s %u %ju %ju %ju %.*s %u\n", (uintmax_t)row->channel, row->reader,
		row->incarnation, (uintmax_t)row->to, (uintmax_t)row->uncovered, (uintmax_t)row->time_ms,
		(int)row->packed.len, (const char *)row->packed.data, row->signature[0]);
	return 0;
}

/* Of each reader and channel the newest receipt stays: by incarnation, then by how far it goes. */
START_TEST(test_receipts)
{
	static const struct {
		const char *reader;
		uint32_t incarnation;
		uint64_t to;
		const char *packed;
	} put[] = {
		{"rug.nl", 1, 10, "ten"},
		{"rug.nl", 1, 9, "nine"},
		{"ugent.be", 1, 4, "four"},
		{"rug.nl", 1, 12, "twelve"},
		{"rug.nl", 1, 12, "twelve again"},
		{"ugent.be", 2, 3, "three"},
		{"ugent.be", 1, 30, "thirty"},
	};
	struct receipt_row row;
	struct buffer text = {0};
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	for (size_t i = 0; i < sizeof put / sizeof *put; i++) {
		row = (struct receipt_row){.channel = channel,
			.reader = put[i].reader,
			.incarnation = put[i].incarnation,
			.to = put[i].to,
			.uncovered = 2,
			.time_ms = UINT64_MAX, /* a reader's clock is its own */
			.packed = bytes_str(put[i].packed),
			.signature = signature};
		ck_assert_int_eq(ops->receipt_put(ledger, &row), 0);
	}
	ck_assert_int_eq(ops->receipt_find(ledger, channel, "rug.nl", &row), 0);
	ck_assert_uint_eq(row.to, 12);
	ck_assert_str_eq(row.reader, "rug.nl");
	ck_assert_int_eq(ops->receipt_find(ledger, channel, "ru.nl", &row), LEDGER_NONE);
	row = (struct receipt_row){.channel = channel + 1, .reader = "rug.nl", .signature = signature};
	ck_assert_int_eq(ops->receipt_put(ledger, &row), -EINVAL);
	ck_assert_int_eq(ops->receipt_remove(ledger, channel, "ru.nl"), 0);
	ck_assert_int_eq(ops->receipt_remove(ledger, channel + 1, "rug.nl"), 0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->receipts(archive, write_receipt, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "1 rug.nl 1 12 2 18446744073709551615 twelve again 7\n"
					     "1 ugent.be 2 3 2 18446744073709551615 three 7\n");
	begin();
	ck_assert_int_eq(ops->receipt_remove(ledger, channel, "rug.nl"), 0);
	ck_assert_int_eq(ops->receipt_find(ledger, channel, "rug.nl", &row), LEDGER_NONE);
	ck_assert_int_eq(ops->receipt_find(ledger, channel, "ugent.be", &row), 0);
	commit();
	buffer_deinit(&text);
}
END_TEST

static int write_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	buffer_printf(context, "%s %s %u %.*s\n", kind, member, number, (int)text.len, (const char *)text.data);
	return 0;
}

/* Notes come in the order in which they were put, so that each is read when what it builds on is known. None replaces another, and
 * the same one stands there once. */
START_TEST(test_notes)
{
	struct buffer text = {0};

	begin();
	ck_assert_int_eq(ops->note_put(ledger, "card", "ut.ee", 1, bytes_str("a")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "roster", "", 2, bytes_str("b")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "card", "rug.nl", 2, bytes_str("c")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "card", "rug.nl", 1, bytes_str("d")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "roster", NULL, 1, bytes_str("e")), 0);
	commit();
	begin();
	ck_assert_int_eq(ops->note_put(ledger, "card", "ut.ee", 1, bytes_str("f")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "roster", "", 2, bytes_str("b")), 0);
	ck_assert_int_eq(ops->note_put(ledger, "card", "ut.ee", 1, bytes_str("a")), 0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->notes(archive, write_note, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text),
		"card ut.ee 1 a\nroster  2 b\ncard rug.nl 2 c\ncard rug.nl 1 d\nroster  1 e\n"
		"card ut.ee 1 f\n");
	buffer_deinit(&text);
}
END_TEST

/* A note that is accepted, and put into the store as the node does. */
static void accept_note(struct trust **t, const char *kind, const char *member, uint32_t number, struct buffer text)
{
	struct problems problems = {0};
	struct trust *next;

	ck_assert_int_eq(trust_with(&next, *t, "x", view(&text), &problems), 0);
	trust_unref(*t);
	*t = next;
	ck_assert_int_eq(ops->note_put(ledger, kind, member, number, view(&text)), 0);
	buffer_deinit(&text);
}

static int remember_note(void *context, const char *kind, const char *member, uint32_t number, struct bytes text)
{
	struct trust **t = context, *next;
	struct problems problems = {0};
	int r = trust_with(&next, *t, "x", text, &problems);

	ck_assert_msg(r == 0, "%s %s %u: %d %s", kind, member, number, r, problems.n > 0 ? problems.items[0].rule : "");
	trust_unref(*t);
	*t = next;
	return 0;
}

/* Whom a node believes is the same after a restart: cards of a former identity key and of a former member still verify what they
 * signed, though the newest roster would refuse them, and a number that is given again replaces nothing. */
START_TEST(test_trust_after_a_restart)
{
	struct actor members[] = {actor_of("rug.nl", 0), actor_of("ugent.be", 0), actor_of("ut.ee", 0)}, changed[2];
	struct problems problems = {0};
	struct trust *t, *first, *remembered;
	struct buffer one, two;
	enum card_key_state state;
	struct digest network;

	one = roster_text(NULL, 1, 2, members, 3);
	sign_by(&one, &members[0]);
	sign_by(&one, &members[1]);
	digest_plain(&network, signed_part(&one));
	ck_assert_int_eq(trust_new(&t, &network, "x", view(&one), &problems), 0);
	first = trust_ref(t);
	changed[0] = members[0];
	changed[1] = actor_of("ugent.be", 1);
	two = roster_text(&one, 2, 2, changed, 2); /* ugent.be changes its identity key, ut.ee is expelled */
	sign_by(&two, &members[0]);
	sign_by(&two, &members[2]);
	sign_by(&two, &changed[1]);

	begin();
	accept_note(&t, "card", "ugent.be", 1, card_text(&network, &members[1], 1, 1));
	accept_note(&t, "card", "ut.ee", 7, card_text(&network, &members[2], 7, 4));
	accept_note(&t, "roster", "", 2, two);
	accept_note(&t, "card", "ugent.be", 1, card_text(&network, &changed[1], 1, 2));
	commit();
	restart();
	remembered = first;
	ck_assert_int_eq(archive_ops->notes(archive, remember_note, &remembered), 0);
	ck_assert_uint_eq(trust_roster(remembered)->number, 2);
	ck_assert_ptr_nonnull(trust_sign_key(remembered, "ugent.be", 1, &state));
	ck_assert_int_eq(state, CARD_KEY_RETIRED);
	ck_assert_ptr_nonnull(trust_sign_key(remembered, "ugent.be", 2, &state));
	ck_assert_ptr_nonnull(trust_sign_key(remembered, "ut.ee", 4, &state));
	ck_assert(digest_equal(
		&trust_card(remembered, "ugent.be")->note.digest, &trust_card(t, "ugent.be")->note.digest));
	buffer_deinit(&one);
	trust_unref(remembered);
	trust_unref(t);
}
END_TEST

static int write_setting(void *context, const char *name, const char *value)
{
	buffer_printf(context, "%s=%s\n", name, value);
	return 0;
}

/* A setting is put, replaced and removed. */
START_TEST(test_settings)
{
	struct buffer text = {0};

	begin();
	ck_assert_int_eq(ops->setting_put(ledger, "block ut.ee", "late with fees"), 0);
	ck_assert_int_eq(ops->setting_put(ledger, "block rug.nl", "x"), 0);
	ck_assert_int_eq(ops->setting_put(ledger, "block rug.nl", NULL), 0);
	ck_assert_int_eq(ops->setting_put(ledger, "block rug.nl", NULL), 0);
	ck_assert_int_eq(ops->setting_put(ledger, "block ut.ee", "paid half"), 0);
	ck_assert_int_eq(ops->setting_put(ledger, "empty", ""), 0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->settings(archive, write_setting, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "block ut.ee=paid half\nempty=\n");
	buffer_deinit(&text);
}
END_TEST

static int write_fork(void *context, const struct fork_row *row)
{
	buffer_printf(context, "%d %.*s %.1s %.*s %.1s\n", (int)row->channel, (int)row->header_a.len,
		(const char *)row->header_a.data, (const char *)row->signature_a.data, (int)row->header_b.len,
		(const char *)row->header_b.data, (const char *)row->signature_b.data);
	return 0;
}

/* Both headers of a fork are kept with their signatures, for each channel. */
START_TEST(test_forks)
{
	uint8_t a[SIGNATURE_LEN], b[SIGNATURE_LEN];
	struct buffer text = {0};
	uint64_t first, second;

	memset(a, 'a', sizeof a);
	memset(b, 'b', sizeof b);
	begin();
	first = add_channel("ut.ee", "network");
	second = add_channel("rug.nl", "network");
	ck_assert_int_eq(ops->fork_put(ledger, second, bytes_str("three"), bytes_of(a, sizeof a), bytes_str("four"),
				 bytes_of(b, sizeof b)),
		0);
	ck_assert_int_eq(ops->fork_put(ledger, first, bytes_str("one"), bytes_of(b, sizeof b), bytes_str("two"),
				 bytes_of(a, sizeof a)),
		0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->forks(archive, write_fork, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "1 one b two a\n2 three a four b\n");
	buffer_deinit(&text);
}
END_TEST

static int write_cursor(void *context, const struct cursor_row *row)
{
	buffer_printf(context, "%s %d.%d\n", row->plugin, (int)row->place.number, (int)row->place.index);
	return 0;
}

static int write_held(void *context, const struct held_row *row)
{
	buffer_printf(context, "%s %d.%d %d/%d %s %s %d %d %d %d %d %d %s\n", row->plugin, (int)row->place.number,
		(int)row->place.index, (int)row->channel, (int)row->sequence, row->source, row->topic,
		row->lane.bytes[15], row->state, (int)row->attempts, (int)row->deaths, (int)row->next_ms,
		(int)row->since_ms, row->reason);
	return 0;
}

/* What a plugin has not done is put, replaced and removed; it comes back rising by place, and so do cursors. */
START_TEST(test_held)
{
	struct held_row row = {.plugin = "sql",
		.place = {300, 2},
		.channel = 1,
		.sequence = 9,
		.source = "ut.ee",
		.topic = "course.offering",
		.lane = {{[15] = 7}},
		.state = HELD_RETRYING,
		.attempts = 3,
		.deaths = 1,
		.next_ms = 50,
		.since_ms = 40,
		.reason = "a lock"};
	struct place gone = {300, 3};
	struct buffer text = {0};

	begin();
	ck_assert_int_eq(ops->cursor_put(ledger, &(struct cursor_row){"web", {1, 0}}), 0);
	ck_assert_int_eq(ops->cursor_put(ledger, &(struct cursor_row){"sql", {8, 3}}), 0);
	ck_assert_int_eq(ops->cursor_put(ledger, &(struct cursor_row){"sql", {301, 0}}), 0);
	ck_assert_int_eq(ops->held_put(ledger, &row), 0);
	row.place = gone;
	ck_assert_int_eq(ops->held_put(ledger, &row), 0);
	row.place = (struct place){7, 4000};
	row.state = HELD_PARKED;
	ck_assert_int_eq(ops->held_put(ledger, &row), 0);
	row.state = HELD_DEAD;
	strcpy(row.reason, "");
	ck_assert_int_eq(ops->held_put(ledger, &row), 0);
	strcpy(row.plugin, "web");
	ck_assert_int_eq(ops->held_put(ledger, &row), 0);
	ck_assert_int_eq(ops->held_remove(ledger, "sql", &gone), 0);
	ck_assert_int_eq(ops->held_remove(ledger, "sql", &gone), LEDGER_NONE);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->cursors(archive, write_cursor, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "sql 301.0\nweb 1.0\n");
	buffer_clear(&text);
	ck_assert_int_eq(archive_ops->held(archive, write_held, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "sql 7.4000 1/9 ut.ee course.offering 7 2 3 1 50 40 \n"
					     "sql 300.2 1/9 ut.ee course.offering 7 1 3 1 50 40 a lock\n"
					     "web 7.4000 1/9 ut.ee course.offering 7 2 3 1 50 40 \n");
	buffer_deinit(&text);
}
END_TEST

/* A transaction that is undone leaves nothing, but the numbers it took stay taken. */
START_TEST(test_undone_transaction)
{
	struct channel_row row;
	struct index_key a = name_of(1);
	struct place place = {1, 0};
	uint64_t number;

	begin();
	add_channel("rug.nl", "network");
	ck_assert_int_eq(ops->event_add(ledger, &a, &place), 0);
	commit();
	begin();
	number = add_batch(add_channel("ut.ee", "network"), 1, 5);
	place.number = number;
	ck_assert_int_eq(ops->event_add(ledger, &a, &place), LEDGER_HELD);
	ck_assert_int_eq(ops->set_aside(ledger, 1, 0, false), 0);
	undo();
	begin();
	ck_assert_int_eq(ops->channel_find(ledger, "ut.ee", "network", &row), LEDGER_NONE);
	ck_assert_int_eq(ops->channel_find(ledger, "rug.nl", "network", &row), 0);
	channel_row_deinit(&row);
	ck_assert_int_eq(ops->event_find(ledger, &a, &place), 0);
	ck_assert_uint_eq(place.number, 1);
	ck_assert_uint_gt(ops->next_number(ledger), number);
	commit();
}
END_TEST

/* A part can be undone alone, again and again, and what was before and comes after it stays. */
START_TEST(test_undone_part)
{
	struct index_key before = name_of(1), inside = name_of(2), after = name_of(3);
	struct place place = {1, 1}, found;

	begin();
	ck_assert_int_eq(ops->event_add(ledger, &before, &place), 0);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(ops->savepoint(ledger), 0);
		place.index = 100 + i;
		ck_assert_int_eq(ops->event_add(ledger, &before, &place), LEDGER_HELD);
		ck_assert_int_eq(ops->event_add(ledger, &inside, &place), 0);
		ck_assert_int_eq(ops->event_find(ledger, &inside, &found), 0);
		ck_assert_int_eq(ops->rollback(ledger), 0);
	}
	ck_assert_int_eq(ops->savepoint(ledger), 0);
	ck_assert_int_eq(ops->event_add(ledger, &after, &place), 0);
	ck_assert_int_eq(ops->release(ledger), 0);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->event(archive, &before, &found), 0);
	ck_assert_uint_eq(found.index, 1);
	ck_assert_int_eq(archive_ops->event(archive, &inside, &found), LEDGER_NONE);
	ck_assert_int_eq(archive_ops->event(archive, &after, &found), 0);
}
END_TEST

static int write_batch(void *context, const struct batch_row *row)
{
	buffer_printf(context, "%ju: %ju+%u\n", (uintmax_t)row->number, (uintmax_t)row->first, row->count);
	return 0;
}

static int stop_at_second(void *context, const struct batch_row *row)
{
	int *n = context;

	return ++*n == 2 ? -ECANCELED : 0;
}

/* The archive walks all batches by number, or those of a channel by sequence; a visitor ends the walk with its own result. */
START_TEST(test_walks)
{
	struct buffer text = {0};
	uint64_t one, two;
	int n = 0;

	ck_assert_uint_eq(archive_ops->last_number(archive), 0);
	begin();
	one = add_channel("ut.ee", "network");
	two = add_channel("rug.nl", "network");
	add_batch(one, 1, 3);
	add_batch(two, 1, 1);
	add_batch(one, 4, 2);
	ops->next_number(ledger);
	add_batch(one, 6, 1);
	commit();
	ck_assert_uint_eq(archive_ops->last_number(archive), 5);
	ck_assert_int_eq(archive_ops->batches(archive, 2, write_batch, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "2: 1+1\n3: 4+2\n5: 6+1\n");
	buffer_clear(&text);
	ck_assert_int_eq(archive_ops->channel_batches(archive, one, 3, write_batch, &text), 0);
	ck_assert_int_eq(archive_ops->channel_batches(archive, one, 2, write_batch, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "3: 4+2\n5: 6+1\n1: 1+3\n3: 4+2\n5: 6+1\n");
	buffer_clear(&text);
	ck_assert_int_eq(archive_ops->batch_ending(archive, one, 5, write_batch, &text), 0);
	ck_assert_int_eq(archive_ops->batch(archive, 2, write_batch, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "3: 4+2\n2: 1+1\n");
	ck_assert_int_eq(archive_ops->batch_ending(archive, one, 4, write_batch, &text), LEDGER_NONE);
	ck_assert_int_eq(archive_ops->batch(archive, 4, write_batch, &text), LEDGER_NONE);
	ck_assert_int_eq(archive_ops->batches(archive, 1, stop_at_second, &n), -ECANCELED);
	ck_assert_int_eq(n, 2);
	buffer_clear(&text);
	ck_assert_int_eq(archive_ops->batches(archive, 6, write_batch, &text), 0);
	ck_assert_int_eq(archive_ops->batches(archive, UINT64_MAX, write_batch, &text), 0);
	ck_assert_int_eq(archive_ops->channel_batches(archive, one, UINT64_MAX, write_batch, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "");
	buffer_deinit(&text);
}
END_TEST

/* A walk over more batches than any cache holds gives each of them once, in order. */
static int count_batch(void *context, const struct batch_row *row)
{
	uint64_t *next = context;

	ck_assert_uint_eq(row->number, *next);
	ck_assert_uint_eq(row->body.len, 10000);
	ck_assert_uint_eq(row->body.data[9999], row->number % 251);
	++*next;
	return 0;
}

START_TEST(test_long_walk)
{
	enum { N = 1000 };
	static uint8_t body[10000];
	uint64_t channel = 0, next = 1;

	for (uint64_t i = 1; i <= N; i++) {
		if (i % 100 == 1)
			begin();
		if (i == 1)
			channel = add_channel("ut.ee", "network");
		memset(body, (int)(i % 251), sizeof body);
		ck_assert_int_eq(try_batch(i, channel, i, 1, bytes_of(body, sizeof body)), 0);
		if (i % 100 == 0)
			commit();
	}
	restart();
	ck_assert_int_eq(archive_ops->batches(archive, 1, count_batch, &next), 0);
	ck_assert_uint_eq(next, N + 1);
	next = 501;
	ck_assert_int_eq(archive_ops->channel_batches(archive, channel, 500, count_batch, &next), 0);
	ck_assert_uint_eq(next, N + 1);
}
END_TEST

static int write_channel(void *context, const struct channel_row *row)
{
	buffer_printf(context, "%s to %s\n", row->publisher, row->audience);
	return 0;
}

/* The archive shows every channel. */
START_TEST(test_channel_walk)
{
	struct buffer text = {0};

	begin();
	add_channel("ut.ee", "rug.nl");
	add_channel("rug.nl", "network");
	commit();
	ck_assert_int_eq(archive_ops->channels(archive, write_channel, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "ut.ee to rug.nl\nrug.nl to network\n");
	buffer_deinit(&text);
}
END_TEST

/* What is set aside is no longer found, nor is what was indexed for it; an object's revision before is the last again;
 * the channel goes on from there and other channels are not touched. */
START_TEST(test_set_aside)
{
	struct index_key kept = name_of(1), gone = name_of(2), object = name_of(3), person = name_of(4);
	struct object_row row = {.revision = 1};
	struct buffer text = {0};
	struct place place;
	struct batch_row batch;
	uint64_t channel, other, numbers[4];

	begin();
	channel = add_channel("ut.ee", "network");
	other = add_channel("rug.nl", "network");
	numbers[0] = add_batch(channel, 1, 10);
	numbers[1] = add_batch(channel, 11, 10);
	numbers[2] = add_batch(other, 1, 50);
	numbers[3] = add_batch(channel, 21, 1);
	for (uint32_t i = 0; i < 4; i++) {
		place = (struct place){numbers[i], i};
		ck_assert_int_eq(
			ops->event_add(ledger, i == 0 || i == 2 ? &kept : &gone, &place), i < 2 ? 0 : LEDGER_HELD);
		ck_assert_int_eq(ops->mark_add(ledger, &place, MARK_STALE, "x"), 0);
		ck_assert_int_eq(ops->person_add(ledger, &person, numbers[i]), 0);
		if (i == 2)
			continue;
		row.place = place;
		ck_assert_int_eq(ops->object_put(ledger, &object, &row), 0);
		row.revision++;
	}
	ck_assert_int_eq(ops->uncovered_add(ledger, channel, 10), 0);
	ck_assert_int_eq(ops->uncovered_add(ledger, channel, 11), 0);
	ck_assert_int_eq(ops->uncovered_add(ledger, other, 11), 0);
	commit();

	begin();
	ck_assert_int_eq(ops->set_aside(ledger, channel, 10, false), 0);
	ck_assert_int_eq(ops->set_aside(ledger, channel, 10, false), 0);
	ck_assert_int_eq(ops->batch_ending(ledger, channel, 20, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_holding(ledger, channel, 15, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_get(ledger, numbers[3], &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->batch_get(ledger, numbers[0], &batch), 0);
	ck_assert_int_eq(ops->event_find(ledger, &gone, &place), LEDGER_NONE);
	ck_assert_int_eq(ops->event_find(ledger, &kept, &place), 0);
	ck_assert_int_eq(ops->object_find(ledger, &object, &row), 0);
	ck_assert_uint_eq(row.revision, 1);
	ck_assert_uint_eq(row.place.number, numbers[0]);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, 10), 0);
	ck_assert_int_eq(ops->uncovered_remove(ledger, channel, 11), LEDGER_NONE);
	ck_assert_int_eq(ops->uncovered_remove(ledger, other, 11), 0);
	commit();

	restart();
	begin();
	ck_assert_uint_gt(ops->next_number(ledger), numbers[3]);
	ck_assert_uint_eq(add_batch(channel, 11, 10), numbers[3] + 2);
	commit();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(archive_ops->marks(archive, numbers[i], write_mark, &text), 0);
	ck_assert_int_eq(archive_ops->batches(archive, 1, write_batch, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "0 2 x\n2 2 x\n1: 1+10\n3: 1+50\n6: 11+10\n");
	buffer_deinit(&text);
}
END_TEST

static uint64_t above_of(uint64_t channel, uint8_t digest)
{
	struct digest wanted = {{digest}};
	uint64_t above = UINT64_MAX;

	ck_assert_int_eq(ops->aside_find(ledger, channel, &wanted, &above), 0);
	return above;
}

/* A batch kept apart from the start, with one event of one object. */
static uint64_t keep_apart(uint64_t channel, uint64_t first, uint8_t digest, const struct index_key *name)
{
	struct batch_row batch = {.number = ops->next_number(ledger),
		.channel = channel,
		.incarnation = 1,
		.first = first,
		.count = 1,
		.digest = {{digest}},
		.header = bytes_str("header"),
		.signature = bytes_of(signature, sizeof signature),
		.body = bytes_str("body"),
		.wrapped = bytes_str("key")};
	struct object_row row = {.revision = digest, .place = {batch.number, 0}};

	ck_assert_int_eq(ops->aside_add(ledger, &batch, first - 1), 0);
	ck_assert_int_eq(ops->aside_event(ledger, name, &row.place), 0);
	ck_assert_int_eq(ops->aside_object(ledger, name, &row), 0);
	return batch.number;
}

static void expect_next(uint64_t number, enum origin origin)
{
	struct batch_row batch = {0};
	enum origin got = ORIGIN_NONE;

	ck_assert_int_eq(ops->aside_next(ledger, &batch, &got), number == 0 ? LEDGER_NONE : 0);
	ck_assert_uint_eq(batch.number, number);
	ck_assert_int_eq(got, origin);
}

/* What is to be published again is found one after the other, what readers gave back before our own, until it is done; whence it came stays
 * known. A channel that goes back further takes with it the places at which others go on. */
START_TEST(test_kept_apart)
{
	struct index_key own = name_of(1), given = name_of(2), unknown = name_of(3);
	struct object_row row = {.revision = 4};
	uint64_t channel, numbers[2], revision = 9;
	struct digest nowhere = {{99}};
	struct batch_row batch;
	enum origin origin;

	begin();
	channel = add_channel("ut.ee", "network");
	add_batch(channel, 1, 10);
	numbers[0] = add_batch(channel, 11, 10);
	row.place.number = numbers[0];
	ck_assert_int_eq(ops->event_add(ledger, &own, &row.place), 0);
	ck_assert_int_eq(ops->object_put(ledger, &own, &row), 0);
	ck_assert_int_eq(ops->aside_revision(ledger, &own, &revision), 0);
	ck_assert_uint_eq(revision, 0);
	expect_next(0, ORIGIN_NONE);
	commit();
	ck_assert_int_eq(archive_ops->aside_pends(archive), LEDGER_NONE);

	begin();
	ck_assert_int_eq(ops->set_aside(ledger, channel, 10, true), 0);
	numbers[1] = keep_apart(channel, 13, 7, &given);
	commit();
	restart();
	ck_assert_int_eq(archive_ops->aside_pends(archive), 0);
	ck_assert_int_eq(archive_ops->aside(archive, channel, &(struct digest){{7}}), 0);
	ck_assert_int_eq(archive_ops->aside(archive, channel, &nowhere), LEDGER_NONE);
	ck_assert_int_eq(archive_ops->aside(archive, channel + 1, &(struct digest){{7}}), LEDGER_NONE);

	begin();
	ck_assert_uint_eq(above_of(channel, 7), 12);
	expect_next(numbers[1], ORIGIN_READERS);
	ck_assert_int_eq(ops->aside_done(ledger, numbers[1]), 0);
	expect_next(numbers[0], ORIGIN_OWN);
	ck_assert_int_eq(ops->aside_again(ledger, numbers[1]), 0);
	expect_next(numbers[1], ORIGIN_READERS);
	ck_assert_int_eq(ops->aside_again(ledger, numbers[1]), 0);
	expect_next(numbers[1], ORIGIN_READERS);
	ck_assert_int_eq(ops->aside_done(ledger, numbers[1]), 0);
	expect_next(numbers[0], ORIGIN_OWN);
	ck_assert_int_eq(ops->aside_done(ledger, numbers[0]), 0);
	expect_next(0, ORIGIN_NONE);
	ck_assert_int_eq(ops->aside_origin(ledger, &given, &origin), 0);
	ck_assert_int_eq(origin, ORIGIN_READERS);
	ck_assert_int_eq(ops->aside_origin(ledger, &own, &origin), 0);
	ck_assert_int_eq(origin, ORIGIN_OWN);
	ck_assert_int_eq(ops->aside_origin(ledger, &unknown, &origin), 0);
	ck_assert_int_eq(origin, ORIGIN_NONE);
	ck_assert_int_eq(ops->aside_revision(ledger, &own, &revision), 0);
	ck_assert_uint_eq(revision, 4);
	ck_assert_int_eq(ops->aside_revision(ledger, &given, &revision), 0);
	ck_assert_uint_eq(revision, 7);
	ck_assert_int_eq(ops->set_aside(ledger, channel, 0, false), 0);
	ck_assert_uint_eq(above_of(channel, 7), 0);
	ck_assert_int_eq(ops->aside_find(ledger, channel, &nowhere, &revision), LEDGER_NONE);
	ck_assert_int_eq(ops->aside_named(ledger, channel, &nowhere, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->aside_named(ledger, channel + 1, &(struct digest){{7}}, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->aside_named(ledger, channel, &(struct digest){{7}}, &batch), 0);
	ck_assert_uint_eq(batch.number, numbers[1]);
	ck_assert_int_eq(ops->aside_holding(ledger, channel, 1, 15, &batch), 0);
	ck_assert_uint_eq(batch.number, numbers[0]);
	ck_assert_int_eq(ops->aside_holding(ledger, channel, 1, 21, &batch), LEDGER_NONE);
	ck_assert_int_eq(ops->aside_holding(ledger, channel, 2, 15, &batch), LEDGER_NONE);
	commit();
}
END_TEST

/* The database is sound with whatever is kept apart. */
START_TEST(test_sound)
{
	struct index_key name = name_of(1);
	char *what = NULL;

	begin();
	keep_apart(add_channel("ut.ee", "network"), 1, 7, &name);
	commit();
	ck_assert_int_eq(store_reader_check(reader, &what), 0);
	ck_assert_msg(what == NULL, "%s", what);
}
END_TEST

/* Nothing above 0 is everything. */
START_TEST(test_set_all_aside)
{
	struct buffer text = {0};
	uint64_t channel;

	begin();
	channel = add_channel("ut.ee", "network");
	add_batch(channel, 1, 10);
	add_batch(channel, 11, 10);
	ck_assert_int_eq(ops->set_aside(ledger, channel, 0, false), 0);
	commit();
	ck_assert_int_eq(archive_ops->batches(archive, 0, write_batch, &text), 0);
	ck_assert_uint_eq(text.len, 0);
	ck_assert_uint_eq(archive_ops->last_number(archive), 0);
}
END_TEST

static int add_another_then_look(void *context, const struct batch_row *row)
{
	begin();
	add_channel("rug.nl", "network");
	commit();
	return archive_ops->channels(archive, write_channel, context);
}

/* What a visitor asks for is of the moment at which its walk began, whatever is stored meanwhile. */
START_TEST(test_one_moment)
{
	struct buffer text = {0};

	begin();
	add_batch(add_channel("ut.ee", "network"), 1, 1);
	commit();
	ck_assert_int_eq(archive_ops->batches(archive, 1, add_another_then_look, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "ut.ee to network\n");
	buffer_clear(&text);
	ck_assert_int_eq(archive_ops->channels(archive, write_channel, &text), 0);
	ck_assert_str_eq(buffer_cstr(&text), "ut.ee to network\nrug.nl to network\n");
	buffer_deinit(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("store");
	static const struct {
		const char *name;
		void (*start)(void);
		void (*end)(void);
	} ledgers[] = {{"sqlite", start_sqlite, end_sqlite}, {"memory", start_memory, end_memory}};
	const TTest *const tests[] = {test_channels, test_channels_are_not_doubled, test_batches, test_mending,
		test_what_a_batch_must_be, test_positions_out_of_range, test_views_as_arguments, test_events,
		test_objects, test_marks_and_persons, test_uncovered_slots, test_receipts, test_notes,
		test_trust_after_a_restart, test_settings, test_forks, test_held, test_undone_transaction,
		test_undone_part, test_walks, test_long_walk, test_channel_walk, test_set_aside, test_kept_apart,
		test_set_all_aside};

	for (size_t i = 0; i < sizeof ledgers / sizeof *ledgers; i++) {
		TCase *tc = tcase_create(ledgers[i].name);

		tcase_add_checked_fixture(tc, ledgers[i].start, ledgers[i].end);
		for (size_t k = 0; k < sizeof tests / sizeof *tests; k++)
			tcase_add_test(tc, tests[k]);
		if (ledgers[i].start ==
			start_sqlite) { /* one in memory has no form, and stores nothing while it is walked over */
			tcase_add_test(tc, test_sound);
			tcase_add_test(tc, test_one_moment);
		}
		suite_add_tcase(suite, tc);
	}
	return unit_run(suite);
}
