#include "core/check.h"

#include "core/archived.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_END = LEDGER_HELD + 1 };

struct checking {
	const struct store_keys *keys;
	const struct archive_ops *ops;
	void *archive;
	struct check_query *query;
	struct channels {
		struct channel_row *rows;
		size_t n;
		bool taken;
	} channels; /* of which damages take their words */
	size_t bytes;
};

/* ---- the channels ---- */

static int take_channel(void *context, const struct channel_row *row)
{
	struct channels *c = context;
	struct channel_row *rows = realloc(c->rows, (c->n + 1) * sizeof *rows);

	if (rows == NULL)
		return -ENOMEM;
	c->rows = rows;
	rows[c->n] = *row;
	rows[c->n].audience = strdup(row->audience);
	return rows[c->n++].audience == NULL ? -ENOMEM : 0;
}

static void channels_deinit(struct channels *c)
{
	for (size_t i = 0; i < c->n; i++)
		channel_row_deinit(&c->rows[i]);
	free(c->rows);
}

/* Taken within the walk over the batches, so that both are of one moment. */
static int take_channels(struct checking *c)
{
	if (c->channels.taken)
		return 0;
	c->channels.taken = true;
	return c->ops->channels(c->archive, take_channel, &c->channels);
}

static const struct channel_row *channel_of(const struct checking *c, uint64_t id)
{
	for (size_t i = 0; i < c->channels.n; i++)
		if (c->channels.rows[i].id == id)
			return &c->channels.rows[i];
	return NULL;
}

/* ---- one batch ---- */

struct before {
	struct behind behind;
	struct digest digest; /* that its header has now */
};

static int take_before(void *context, const struct batch_row *row)
{
	struct before *b = context;

	b->behind = (struct behind){row->incarnation, row->first + row->count - 1, row->digest};
	digest_header(&b->digest, row->header);
	return 0;
}

/* What is stored before this sequence; nothing: the zeroed value. 0 or a negative errno. */
static int find_before(const struct checking *c, uint64_t channel, uint64_t first, struct before *out)
{
	int r = 0;

	*out = (struct before){0};
	if (first > 1)
		r = c->ops->batch_ending(c->archive, channel, first - 1, take_before, out);
	return r == LEDGER_NONE ? 0 : r;
}

/* Whether the header continues the one before it, of which the channel's first has none. Where the one before is damaged, one of its two
 * digests is still good. */
static int check_chain(
	const struct checking *c, const struct channel_row *ch, const struct header *h, const char **what)
{
	struct before before;
	int r = find_before(c, ch->id, h->first, &before);

	if (r == 0 && before.behind.sequence == 0 && h->first == ch->first)
		return 0;
	if (r == 0 && !digest_equal(&h->previous, &before.behind.digest) && !digest_equal(&h->previous, &before.digest))
		*what = "it does not continue the batch before it";
	return r;
}

/* What the header's bytes alone tell. */
static const char *header_fault(const struct batch_row *row, const struct channel_row *ch, const struct header *h)
{
	struct digest digest;

	digest_header(&digest, row->header);
	if (!digest_equal(&digest, &row->digest))
		return "its header is not the one that was stored";
	if (ch == NULL || strcmp(h->publisher, ch->publisher) != 0 || strcmp(h->audience, ch->audience) != 0)
		return "it is not of its channel";
	if (h->first != row->first || h->count != row->count || h->incarnation != row->incarnation)
		return "its numbers are not those of its header";
	if (header_last(h) == ch->last && !digest_equal(&digest, &ch->head))
		return "it is not the head of its channel";
	return NULL;
}

static const char *signature_fault(const struct trust *trust, const struct batch_row *row, const struct header *h)
{
	enum card_key_state state;
	const uint8_t *key;

	if (trust == NULL)
		return NULL;
	key = trust_sign_key(trust, h->publisher, h->key, &state);
	if (key == NULL)
		return NULL; /* the card is not here (any more); the chain vouches for it */
	return header_verify(row->header, row->signature.data, key) ? NULL : "its signature is not good";
}

/* `*what` NULL: nothing is wrong. 0 or a negative errno. */
static int judge(const struct checking *c, const struct batch_row *row, const struct channel_row *ch, const char **what)
{
	struct archived opened = {0};
	struct header h;
	int r = header_decode(&h, row->header);

	*what = NULL;
	if (r != 0) {
		*what = "its header cannot be read";
		return r < 0 ? r : 0;
	}
	*what = header_fault(row, ch, &h);
	if (*what == NULL)
		r = check_chain(c, ch, &h, what);
	if (r == 0 && *what == NULL)
		*what = signature_fault(c->query->trust, row, &h);
	header_deinit(&h);
	if (r != 0 || *what != NULL)
		return r;
	r = archived_read(&opened, c->keys, row);
	archived_deinit(&opened);
	if (r == -EBADMSG)
		*what = "its body does not open";
	return r == -EBADMSG ? 0 : r;
}

/* The place before a batch; its own header knows that best, while it is good. */
static int find_behind(const struct checking *c, const struct batch_row *row, struct behind *out)
{
	struct digest digest;
	struct before before;
	struct header h;
	int r = find_before(c, row->channel, row->first, &before);

	*out = before.behind;
	digest_header(&digest, row->header);
	if (r != 0 || !digest_equal(&digest, &row->digest))
		return r;
	r = header_decode(&h, row->header);
	if (r == 0)
		out->digest = h.previous;
	header_deinit(&h);
	return r < 0 ? r : 0;
}

static int add_damage(
	const struct checking *c, const struct batch_row *row, const struct channel_row *ch, const char *what)
{
	struct check_query *q = c->query;
	struct damage *damages = realloc(q->damages, (q->n_damages + 1) * sizeof *damages), *d;

	if (damages == NULL)
		return -ENOMEM;
	q->damages = damages;
	d = &damages[q->n_damages];
	*d = (struct damage){.number = row->number,
		.channel = row->channel,
		.incarnation = row->incarnation,
		.first = row->first,
		.last = row->first + row->count - 1,
		.what = what};
	strcpy(d->publisher, ch == NULL ? "" : ch->publisher);
	d->audience = strdup(ch == NULL ? "" : ch->audience);
	if (d->audience == NULL)
		return -ENOMEM;
	q->n_damages++;
	return find_behind(c, row, &d->behind);
}

static int check_batch(void *context, const struct batch_row *row)
{
	struct checking *c = context;
	struct check_query *q = c->query;
	const struct channel_row *ch;
	const char *what;
	int r;

	if (q->n_batches == CHECK_BATCHES || (q->n_batches > 0 && c->bytes + row->body.len > CHECK_BYTES))
		return PAGE_END;
	c->bytes += row->body.len;
	q->n_batches++;
	q->next = row->number;
	r = take_channels(c);
	if (r != 0)
		return r;
	ch = channel_of(c, row->channel);
	r = judge(c, row, ch, &what);
	return r == 0 && what != NULL ? add_damage(c, row, ch, what) : r;
}

int check_run(const struct store_keys *keys, const struct archive_ops *ops, void *archive, struct check_query *query)
{
	struct checking c = {.keys = keys, .ops = ops, .archive = archive, .query = query};
	int r;

	query->next = query->after;
	query->end = ops->last_number(archive);
	if (query->only != 0)
		r = ops->batch(archive, query->only, check_batch, &c);
	else
		r = ops->batches(archive, query->after + 1, check_batch, &c);
	query->more = r == PAGE_END;
	channels_deinit(&c.channels);
	return r == PAGE_END || r == LEDGER_NONE ? 0 : r;
}

void check_deinit(struct check_query *query)
{
	for (size_t i = 0; i < query->n_damages; i++)
		free(query->damages[i].audience);
	free(query->damages);
	trust_unref(query->trust);
}
