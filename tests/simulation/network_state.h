/* network_state - what the parts of the simulation share. Private to network.c, plugin.c, fault.c, liar.c, invariant.c. */
#ifndef ENLIGHT_TESTS_NETWORK_STATE_H
#define ENLIGHT_TESTS_NETWORK_STATE_H

#include "../unit/notes.h"
#include "network.h"

#include <stdio.h>

/* What happens at a later virtual time. */
enum happening {
	HAPPEN_TICK,
	HAPPEN_FRAME,
	HAPPEN_UP,
	HAPPEN_DOWN,
	HAPPEN_COMMIT,
	HAPPEN_QUERY,
	HAPPEN_REPOST,
	HAPPEN_PLUGIN, /* something of the member's plugin is due */
};
struct happens {
	uint64_t at_ms, order;
	enum happening kind;
	size_t member;
	unsigned life; /* of the member; an earlier life's are void */
	struct pipe *pipe;
	uint64_t pipe_life;
	bool to_dialler;
	struct bytes frame;
	struct query *query;
	unsigned run;    /* of the plugin */
	uint64_t number; /* of what it was given */
};

/* One connection. Its memory is used again, but never given up before the network is. */
struct pipe {
	bool used, up;
	uint64_t life; /* raised when cut */
	size_t dialler, listener;
	uint8_t listener_key[LINK_PUBLIC_LEN]; /* that the dialler asked for */
	uint32_t dialled, incoming;            /* connection numbers at both ends */
	uint64_t last_ms[2];                   /* arrival of the last frame each way: order is kept */
	size_t in_flight, bytes_in_flight;     /* frames of both ways */
	struct bytes kept[2];                  /* a frame of the life before each way, for stale frames; owned */
	uint64_t extra[2]; /* frames of a liar, which its node does not know of, in the session below */
	uint8_t extra_session[2][SESSION_ID_LEN];
};

/* What a local system wants published, until it is answered. */
struct wish {
	char *audience, *id, *course;
	size_t size; /* of each of its texts in bytes; 0: as usual */
	bool posted, done;
	uint64_t run, number; /* of the plugin's Publish; 0: a local system's */
};

enum { KEPT_FRAMES = 16 };

/* From one member to another. */
struct way {
	bool cut;                                  /* no connection can be made */
	bool mute;                                 /* what is sent is lost, and nobody notices */
	bool stalled;                              /* nothing is taken */
	unsigned delay_ms;                         /* at most so much more */
	unsigned lost, doubled, stale, overtaking; /* of a thousand frames */
	size_t stalled_bytes;
};

struct member {
	char handle[HANDLE_MAX + 1];
	struct node_keys keys;
	uint32_t card; /* number of its newest card */
	struct store_keys store_keys;
	struct memory_ledger *ledger;
	struct committer *committer;
	struct querier *querier;
	struct node *node;
	struct trust *trust; /* as configured */
	unsigned life;
	bool up, committing, in_roster, joined;
	bool liar;      /* it did what no honest node does: nothing is promised of its channels any more */
	bool went_back; /* its disk was an older copy: until all has arrived its channels may be shown in two histories */
	bool robbed;    /* a reader met who had stolen its key */
	unsigned slow_ms;  /* what everything takes longer at most */
	unsigned crash_in; /* it crashes at its so many-th happening from now; 0: not */
	int64_t clock_ms;  /* its wall clock is off by this */
	struct job **jobs;
	size_t n_jobs, size_jobs;
	struct wish *wishes;
	size_t n_wishes, first_wish; /* those before it are done */
	uint64_t tick_ms;
	struct pipe **pipes; /* with an end here */
	size_t n_pipes, size_pipes;
	struct plugin *plugin;              /* NULL: none */
	struct buffer card_text;            /* its newest; empty: the first */
	enum card_key_state key_states[64]; /* by its newest card */
	bool renewing;
	unsigned lying; /* enum lie: what it does now; and what it keeps for it: */
	struct memory_ledger *old;
	struct memory_ledger *stolen; /* what a thief took with the key of this number; NULL: nothing */
	uint32_t stolen_key;
	struct sealed_batch kept_batch;
	uint8_t kept_key[BATCH_KEY_LEN];
	struct bytes kept_frames[KEPT_FRAMES];
};

/* Where the holder of a stolen key published in the victim's name. */
struct theft {
	size_t victim;
	char *audience;
};

struct network {
	uint64_t seed, state, now_ms, order, steps;
	struct happens **heap;
	size_t n_heap, size_heap;
	size_t n, n_up;
	struct member members[NETWORK_MAX];
	struct way *ways; /* n * n */
	struct pipe **pipes, **free_pipes;
	size_t n_pipes, n_free_pipes;
	uint32_t next_incoming;
	struct acknowledged *acknowledged;
	size_t n_acknowledged;
	struct theft *thefts;
	size_t n_thefts;
	bool at_rest; /* all has arrived */
	struct digest anchor;
	struct buffer roster; /* the newest text */
	unsigned roster_number;
	struct buffer *rosters; /* those after the first */
	size_t n_rosters;
	bool traced, with_plugins;
	size_t tamper_from, tamper_to;
	network_tamper tamper;
	void *tamper_context;
	/* Sees each frame that a liar sends, and may change it. */
	void (*lie)(struct network *w, size_t from, size_t to, struct pipe *p, bool is_dialler, struct bytes *frame);
	unsigned long long n_frames, n_commits, n_crashes, n_delivered, n_applied, n_lies;
	char wrong[256];
	char broken[512]; /* the first invariant that did not hold; empty: none */
	uint64_t broken_step;
};

static inline struct way *way(const struct network *w, size_t from, size_t to)
{
	return &w->ways[from * w->n + to];
}

/* Readers may have been shown another history of it, for a while. */
static inline bool is_retold(const struct member *m)
{
	return m->went_back || m->robbed;
}

static inline bool lost_a_key(const struct member *m)
{
	for (uint32_t k = 1; k < m->keys.number; k++)
		if (m->key_states[k] == CARD_KEY_REVOKED)
			return true;
	return false;
}

/* network.c */
void network_break(struct network *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
void network_trace(struct network *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
uint64_t network_draw(struct network *w);
void network_draw_seed(struct network *w, uint8_t seed[static 32]);
struct happens *network_happen(struct network *w, enum happening kind, size_t member, uint64_t after_ms);
void network_step(struct network *w, size_t member, struct node_input *in);
void network_ask(struct network *w, size_t member, struct query *query); /* taken; the plugin's or the node's */
void network_add_job(struct network *w, size_t member, struct job *job); /* taken */
/* The member's plugin wants this published; it hears of it by plugin_published(). */
void network_publish_for_plugin(struct network *w, size_t member, const char *id, uint64_t run, uint64_t number);
void network_fill_draft(
	struct network *w, size_t member, const struct wish *wish, struct draft *out); /* the caller's */
size_t network_member_of(const struct network *w, const char *handle);                 /* network's size: none */
/* Gives a frame to an end of a connection, as the other end would. Taken. */
void network_put_frame(struct network *w, struct pipe *p, bool to_dialler, struct bytes frame);
void network_give_note(struct network *w, size_t member, struct buffer *text); /* by hand; given up */
struct buffer network_card(
	const struct network *w, size_t member, uint32_t number, const struct card_key *keys, size_t n_keys);
/* The reader, up and honest, that holds most of what the member published; when there is none, the member after it. */
size_t network_longest_copy(struct network *w, size_t member);
/* What neither its publisher nor an honest member has any more nobody can give back; nor what only a revoked key speaks for. */
void network_count_lost(struct network *w);
struct buffer network_newest_card(const struct network *w, size_t member); /* the caller's */

#endif
