#include "core/wire.h"

#include "core/limits.h"
#include "enlight/link/v1/link.pb-c.h"
#include "enlight/log/v1/log.pb-c.h"
#include "io/cloudevents/v1/cloudevents.pb-c.h"
#include "unit.h"

#include <errno.h>
#include <string.h>

static const ProtobufCMessageDescriptor *const frame = &enlight__link__v1__frame__descriptor;
static const ProtobufCMessageDescriptor *const fetch = &enlight__link__v1__fetch__descriptor;
static const ProtobufCMessageDescriptor *const stamp = &io__cloudevents__v1__instant__descriptor;
static const ProtobufCMessageDescriptor *const known = &enlight__link__v1__known__descriptor;
static const ProtobufCMessageDescriptor *const note = &enlight__link__v1__note__descriptor;
static const ProtobufCMessageDescriptor *const slot = &enlight__log__v1__slot__descriptor;

/* Bytes as hexadecimal, spaces allowed. */
static struct bytes unhex(uint8_t *out, const char *hex)
{
	size_t n = 0;

	for (; *hex != '\0'; hex += 2) {
		char pair[3] = {0};

		while (*hex == ' ')
			hex++;
		memcpy(pair, hex, 2);
		out[n++] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return bytes_of(out, n);
}

static const struct {
	const char *name;
	const ProtobufCMessageDescriptor *const *type;
	const char *hex;
	bool valid;
} cases[] = {
	{"empty message without required fields", &slot, "", true},
	{"required fields present", &known, "0a 02 6162 10 01", true},
	{"in another order", &known, "10 01 0a 02 6162", true},
	{"required field missing", &known, "0a 02 6162", false},
	{"required field missing inside", &note, "1a 02 10 01", false},
	{"unknown varint", &slot, "78 05", true},
	{"unknown 64-bit", &slot, "79 0102030405060708", true},
	{"unknown bytes", &slot, "7a 02 ff00", true},
	{"unknown 32-bit", &slot, "7d 01020304", true},
	{"unknown group", &slot, "7b 7c", false},
	{"end of group alone", &slot, "7c", false},
	{"wire type 6", &slot, "7e", false},
	{"the largest of 32 bits", &known, "0a 01 61 10 ff ff ff ff 0f", true},
	{"a number of 33 bits in 32", &known, "0a 01 61 10 80 80 80 80 10", false},
	{"one of 64 bits in 32", &known, "0a 01 61 10 ff ff ff ff ff ff ff ff ff 01", false},
	{"zero in more bytes than it needs", &known, "0a 01 61 10 80 00", true},
	{"true", &fetch, "30 01", true},
	{"a truth of 2", &fetch, "30 02", false},
	{"the lowest int32", &stamp, "10 80 80 80 80 f8 ff ff ff ff 01", true},
	{"minus one in 32 bits", &stamp, "10 ff ff ff ff 0f", false},
	{"below the lowest int32", &stamp, "10 ff ff ff ff f7 ff ff ff ff 01", false},
	{"above the highest int32", &stamp, "10 80 80 80 80 08", false},
	{"field number 0", &slot, "00 01", false},
	{"field number above 2^29", &slot, "80 80 80 80 10 01", false},
	{"known field, other wire type", &slot, "08 01", false},
	{"number as bytes, not repeated", &known, "0a 01 61 12 01 01", false},
	{"field twice", &known, "0a 01 61 0a 01 61 10 01", false},
	{"repeated field twice", &note, "0a 01 61 0a 01 61", true},
	{"length beyond the end", &slot, "0a 03 6162", false},
	{"length of 2^63", &slot, "0a 80 80 80 80 80 80 80 80 80 01", false},
	{"tag cut short", &slot, "8a", false},
	{"tag without value", &slot, "0a", false},
	{"varint of eleven bytes", &slot, "78 80 80 80 80 80 80 80 80 80 80 01", false},
	{"varint of more than 64 bits", &slot, "78 80 80 80 80 80 80 80 80 80 02", false},
	{"varint of 64 bits", &slot, "78 ff ff ff ff ff ff ff ff ff 01", true},
	{"64-bit cut short", &slot, "79 01020304050607", false},
	{"text: two, three and four bytes", &known, "0a 09 c3a9 e282ac f09f8e93 10 01", true},
	{"text: NUL", &known, "0a 03 610062 10 01", false},
	{"text: NUL in a long run", &known, "0a 0b 6162636465660068696a6b 10 01", false},
	{"text: long run of ASCII", &known, "0a 0b 616263646566676869017f 10 01", true},
	{"text: other letters in a long run", &known, "0a 0b 616263c3a96667e282ac68 10 01", true},
	{"text: continuation in a long run", &known, "0a 0b 616263a96667686868686a 10 01", false},
	{"text: lone continuation", &known, "0a 01 80 10 01", false},
	{"text: overlong", &known, "0a 02 c080 10 01", false},
	{"text: overlong, three bytes", &known, "0a 03 e08080 10 01", false},
	{"text: surrogate", &known, "0a 03 eda080 10 01", false},
	{"text: above U+10FFFF", &known, "0a 04 f4908080 10 01", false},
	{"text: sequence cut short", &known, "0a 02 e282 10 01", false},
	{"text: ff 00 fe", &known, "0a 03 ff00fe 10 01", false},
};

/* Only a well-formed message of its type passes the walk, and what passes protobuf-c unpacks. */
START_TEST(test_walk)
{
	uint8_t memory[64];
	struct bytes b = unhex(memory, cases[_i].hex);
	void *m;

	ck_assert_msg(wire_valid(*cases[_i].type, b) == cases[_i].valid, "%s", cases[_i].name);
	errno = 0;
	m = wire_unpack(*cases[_i].type, b, 1 << 20);
	ck_assert_msg((m != NULL) == cases[_i].valid, "%s", cases[_i].name);
	ck_assert_int_eq(errno, cases[_i].valid ? 0 : EPROTO);
	wire_free(m);
}
END_TEST

/* A message of more fields than the limit is refused, known or not: each costs an allocation. */
START_TEST(test_fields_have_a_limit)
{
	static uint8_t many[2 * (FIELDS_MAX + 1)];

	for (size_t i = 0; i < sizeof many; i += 2) {
		many[i] = 0x78;
		many[i + 1] = 1;
	}
	ck_assert(wire_valid(slot, bytes_of(many, 2 * FIELDS_MAX)));
	ck_assert(!wire_valid(slot, bytes_of(many, 2 * (FIELDS_MAX + 1))));
}
END_TEST

/* Many tiny elements cost more memory than their bytes: above the cap nothing is left allocated and it is the sender's
 * fault, not ours. */
START_TEST(test_cap)
{
	uint8_t many[1000];
	void *m;

	for (size_t i = 0; i < sizeof many; i += 2) {
		many[i] = 0x0a; /* Note.roster, empty */
		many[i + 1] = 0;
	}
	errno = 0;
	ck_assert_ptr_null(wire_unpack(note, bytes_of(many, sizeof many), 4000));
	ck_assert_int_eq(errno, EPROTO);
	m = wire_unpack(note, bytes_of(many, sizeof many), 100000);
	ck_assert_ptr_nonnull(m);
	wire_free(m);
	wire_free(NULL);
}
END_TEST

static struct bytes sample_frame(void)
{
	Enlight__Link__V1__Frame f = ENLIGHT__LINK__V1__FRAME__INIT;
	Enlight__Link__V1__Refuse r = ENLIGHT__LINK__V1__REFUSE__INIT;
	Enlight__Link__V1__Channel c = ENLIGHT__LINK__V1__CHANNEL__INIT;
	char *audience[] = {(char *)"rug.nl", (char *)"ugent.be"};
	struct bytes out;

	f.refuse = &r;
	r.code = 300;
	r.reason = (char *)"no session";
	r.channel = &c;
	c.publisher = (char *)"ut.ee";
	c.n_audience = 2;
	c.audience = audience;
	out.data = wire_pack(&f, &out.len);
	ck_assert_ptr_nonnull(out.data);
	return out;
}

/* What is packed unpacks to the same. */
START_TEST(test_pack)
{
	struct bytes packed = sample_frame();
	Enlight__Link__V1__Frame *f = wire_unpack(frame, packed, 4096);

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->refuse->code, 300);
	ck_assert_str_eq(f->refuse->channel->audience[1], "ugent.be");
	wire_free(f);
	free((void *)packed.data);
}
END_TEST

/* Whatever single byte changes, the bytes are refused or unpack, and every cut is refused or unpacks. */
START_TEST(test_mutations)
{
	struct bytes packed = sample_frame();
	uint8_t *copy = bytes_dup(packed);

	for (size_t i = 0; i < packed.len; i++) {
		for (unsigned v = 0; v < 256; v++) {
			copy[i] = (uint8_t)v;
			wire_free(wire_unpack(frame, bytes_of(copy, packed.len), 4096));
		}
		copy[i] = packed.data[i];
		wire_free(wire_unpack(frame, bytes_of(copy, i), 4096));
	}
	free(copy);
	free((void *)packed.data);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("wire");
	TCase *tc = tcase_create("wire");

	tcase_add_loop_test(tc, test_walk, 0, sizeof cases / sizeof *cases);
	tcase_add_test(tc, test_fields_have_a_limit);
	tcase_add_test(tc, test_cap);
	tcase_add_test(tc, test_pack);
	tcase_add_test(tc, test_mutations);
	suite_add_tcase(suite, tc);
	return unit_run(suite);
}
