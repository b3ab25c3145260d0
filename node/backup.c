/* backup - the copy of the store that an operator has made (store/backup.h), and the head that goes in front of it. */
#include "loop.h"

#include "base/log.h"
#include "base/stamp.h"
#include "core/backup_head.h"
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOOK_MS = 60 * 1000,    /* who wants a copy asks about it so often, or it is given up */
	FETCH_MS = 3600 * 1000, /* who fetches it has so long until the end */
};

/* The store key as the node's keys folder has it, sealed to the identity key. 0 or -errno, with `why`. */
static int seal_store_key(struct backup_head *h, const struct loop *l, char why[static 160])
{
	struct problems problems = {0};
	uint8_t secret[SECRET_LEN];
	struct store_keys keys;
	int r = config_store_secret(secret, l->config, &problems);

	if (problems.n > 0)
		snprintf(why, 160, "%s: %s", problems.items[0].place, problems.items[0].rule);
	problems_deinit(&problems);
	if (r != 0)
		return r < 0 ? r : -EACCES;
	store_keys_derive(&keys, secret);
	if (!committer_has_keys(l->committer, &keys)) {
		snprintf(why, 160, "store.key is not the key any more with which the node was started");
		r = -EKEYREJECTED;
	} else if (!backup_seal(h->sealed, secret, h->identity)) {
		snprintf(why, 160, "nothing can be sealed to the identity key of the roster");
		r = -EKEYREJECTED;
	}
	sodium_memzero(secret, sizeof secret);
	store_keys_wipe(&keys);
	return r;
}

/* All of the head but its last lines, which are known when the copy is made. */
static int begin_head(struct loop *l, char why[static 160])
{
	const struct trust *trust = node_trust(l->node);
	const struct roster *roster = trust_roster(trust);
	const struct roster_member *self = roster_member(roster, l->config->member);
	struct backup_head h = {.roster = roster->number};
	int r;

	if (self == NULL) {
		snprintf(why, 160, "this member is not in the roster, so there is no identity key to seal to");
		return -EKEYREJECTED;
	}
	snprintf(h.member, sizeof h.member, "%s", self->handle);
	memcpy(h.network, trust_network(trust)->bytes, DIGEST_LEN);
	memcpy(h.identity, self->identity, SIGN_PUBLIC_LEN);
	stamp_time(h.time, loop_time_ms());
	r = seal_store_key(&h, l, why);
	if (r != 0)
		return r;
	backup_head_write(&l->backup.head, &h, &roster->note.digest, ENLIGHT_VERSION);
	return l->backup.head.error;
}

static void forget(struct loop *l)
{
	backup_free(l->backup.copy);
	l->backup.copy = NULL;
	buffer_deinit(&l->backup.head);
}

int loop_backup_begin(void *context, char why[static 160])
{
	struct loop *l = context;
	int r;

	if (l->backup.copy != NULL || l->stopping)
		return -EBUSY;
	r = begin_head(l, why);
	if (r == 0)
		r = backup_new(&l->backup.copy, l->config->state, l->config->store.reserve_bytes);
	if (r == 0 && writer_backup(l->writer, l->backup.copy) != 0)
		r = -EBUSY;
	if (r != 0) {
		forget(l);
		return r;
	}
	l->backup.until_ms = loop_monotonic_ms() + LOOK_MS;
	l->backup.ready = false;
	log_info("backup: copying the store");
	return 0;
}

static const char *why_failed(const struct backup_view *v, char out[static 96])
{
	if (v->error == -ENOSPC)
		snprintf(out, 96, "no room for the copy: with store.reserve it takes %llu MiB that are not free",
			(unsigned long long)(v->lacked_bytes >> 20) + 1);
	else if (v->error == -ECANCELED)
		snprintf(out, 96, "it was given up, or the node is stopping");
	else if (v->error == -EBADMSG)
		snprintf(out, 96, "the database is damaged");
	else
		snprintf(out, 96, "%s", strerror(-v->error));
	return out;
}

static void end_head(struct loop *l, const struct backup_view *v)
{
	struct buffer *head = &l->backup.head;
	uint8_t signature[SIGNATURE_LEN];
	uint32_t key;

	backup_head_database(head, v->bytes, &v->digest);
	key = committer_sign(l->committer, signature, BACKUP_HEAD_DOMAIN, bytes_of(head->data, head->len));
	backup_head_signed(head, key, signature);
}

static json_t *ready_json(struct loop *l, const struct backup_view *v)
{
	if (!l->backup.ready)
		end_head(l, v);
	l->backup.ready = true;
	if (buffer_cstr(&l->backup.head) == NULL)
		return NULL;
	return json_pack("{s:s, s:I, s:s}", "state", "ready", "bytes", (json_int_t)v->bytes, "head",
		buffer_cstr(&l->backup.head));
}

json_t *loop_backup(void *context)
{
	struct loop *l = context;
	struct backup_view v;
	char why[96];

	if (l->backup.copy == NULL || l->backup.until_ms == 0)
		return json_null();
	l->backup.until_ms = loop_monotonic_ms() + LOOK_MS;
	backup_look(l->backup.copy, &v);
	switch (v.state) {
	case BACKUP_READY:
		return ready_json(l, &v);
	case BACKUP_FAILED:
		return json_pack("{s:s, s:s, s:b}", "state", "failed", "reason", why_failed(&v, why), "full",
			v.error == -ENOSPC);
	case BACKUP_UNDER_WAY:
		break;
	}
	return json_pack(
		"{s:s, s:I, s:I}", "state", "copying", "done", (json_int_t)v.done, "total", (json_int_t)v.total);
}

int loop_backup_file(void *context, uint64_t *bytes)
{
	struct loop *l = context;
	struct backup_view v = {0};

	if (l->backup.copy != NULL && l->backup.until_ms != 0)
		backup_look(l->backup.copy, &v);
	if (v.state != BACKUP_READY)
		return -1;
	l->backup.until_ms = loop_monotonic_ms() + FETCH_MS;
	*bytes = v.bytes;
	return backup_file(l->backup.copy);
}

int loop_backup_end(void *context, uint64_t tag, bool kept)
{
	struct loop *l = context;
	struct node_input in = {.kind = NODE_BACKUP, .tag = tag};

	if (l->backup.copy == NULL || l->backup.until_ms == 0 || (kept && !l->backup.ready))
		return -ENOENT;
	l->backup.until_ms = 0;
	loop_backup_turn(l);
	if (kept) {
		l->backup.last_ms = loop_time_ms();
		loop_step(l, &in);
	}
	return 0;
}

/* Gives up what nobody asks about, and frees it when the commit worker is done with it. */
void loop_backup_turn(struct loop *l)
{
	struct backup_view v;

	if (l->backup.copy == NULL || loop_monotonic_ms() < l->backup.until_ms)
		return;
	backup_look(l->backup.copy, &v);
	if (v.state == BACKUP_UNDER_WAY)
		backup_give_up(l->backup.copy);
	else
		forget(l);
}

void loop_backup_close(struct loop *l)
{
	forget(l);
}
