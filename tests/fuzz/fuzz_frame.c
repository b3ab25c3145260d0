/* Frames of a link, as any peer may send them, and the Hellos inside: to a node that listens and to one that has dialled. */
#include "core/session.h"
#include "core/wire.h"
#include "enlight/link/v1/link.pb-c.h"
#include "world.h"

enum { CAP = 8 << 20 };

static void say_hello(const Enlight__Link__V1__Hello *hello)
{
	const struct node_keys own = node_keys_of(OWN, 1), peer = node_keys_of("ut.ee", 1);
	const uint8_t boot[BOOT_ID_LEN] = {1}, seed[32] = {2};
	struct bytes claim = bytes_of(hello->claim.data, hello->claim.len), answer = {0}, first = {0};
	struct bytes signature = bytes_of(hello->signature.data, hello->signature.len);
	struct trust *trust = fuzz_trust();
	struct hello_self self = {trust, OWN, &own, boot, 1700000000000};
	struct entropy entropy;
	uint8_t signed_by_us[SIGNATURE_LEN];
	struct hello listening = {0}, dialling = {0};

	entropy_init(&entropy, seed);
	if (hello_answer(&listening, &self, peer.link_public, claim, &entropy, &answer, signed_by_us) == 0) {
		must(trust_is_member(trust, listening.peer));
		must(hello_accept(&listening, &self, signature) != 0); /* only ut.ee could sign this */
	}
	must(hello_dial(&dialling, &self, "ut.ee", peer.link_public, &entropy, &first) == 0);
	must(hello_finish(&dialling, &self, claim, signature, signed_by_us) != 0);
	hello_wipe(&listening);
	hello_wipe(&dialling);
	free((void *)answer.data);
	free((void *)first.data);
	trust_unref(trust);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Enlight__Link__V1__Frame *f = wire_unpack(&enlight__link__v1__frame__descriptor, bytes_of(data, size), CAP);
	size_t len;
	uint8_t *packed;

	if (f == NULL)
		return 0;
	packed = wire_pack(f, &len);
	must(packed != NULL && wire_valid(&enlight__link__v1__frame__descriptor, bytes_of(packed, len)));
	free(packed);
	if (f->hello != NULL)
		say_hello(f->hello);
	wire_free(f);
	return 0;
}
