/* node_state - what the parts of node share. Private to node.c, checkpoint.c, disown.c, gossip.c, keep.c, key_age.c, meet.c, read.c, recover.c,
 * repair.c, republish.c, serve.c, view.c and witness.c. */
#ifndef ENLIGHT_CORE_NODE_STATE_H
#define ENLIGHT_CORE_NODE_STATE_H

#include "base/log.h"
#include "core/node.h"
#include "core/wire.h"
#include "enlight/link/v1/link.pb-c.h"

typedef Enlight__Link__V1__Frame Frame;

struct reader_receipt {
	char reader[HANDLE_MAX + 1];
	uint32_t incarnation;
	uint64_t to, uncovered, time_ms;
	struct digest head;
};

struct shown_header {
	struct bytes header; /* owned; data NULL: none */
	uint8_t signature[SIGNATURE_LEN];
};

/* A channel as this node holds it. */
struct channel {
	struct channel_row row;
	struct bytes header; /* of the head; owned */
	uint8_t signature[SIGNATURE_LEN];
	struct bytes receipt; /* ours; owned; data NULL: none yet */
	uint8_t receipt_signature[SIGNATURE_LEN];
	unsigned gone_back;             /* times, of our own */
	struct shown_header fork[2];    /* of a stopped one: what it was stopped for */
	struct reader_receipt *readers; /* of our own channels */
	size_t n_readers;
	uint64_t version; /* rises with each change of any channel's head (node.version) */
};

/* A channel that we read from the peer in a session: of its own, or of ours that it holds more of. */
struct reading {
	char publisher[HANDLE_MAX + 1];
	char *audience;
	uint32_t incarnation; /* of the head the peer announced */
	uint64_t announced;
	bool open;            /* a Fetch is out */
	bool from_start;      /* it named no place */
	uint64_t reopened_at; /* our last sequence when a gap made us ask again */
	bool reopened;
	uint64_t retry_ms; /* when to ask again after a refusal; 0: not refused */
	const char *why;
};

/* A channel that the peer reads from us. */
struct stream {
	uint64_t channel; /* row id */
	uint32_t incarnation;
	uint64_t sequence;
	struct digest digest;
	bool headers_only;
	bool asked;   /* the query under way is for it */
	bool live;    /* it was at the channel's end once */
	bool checked; /* the place it began at is in our history */
};

/* The head of a stopped channel that a peer had when it was shown ours. */
struct told {
	uint64_t channel; /* row id */
	struct digest head;
};

struct session {
	struct peer *peer;
	uint32_t connection;
	bool dialled;
	uint64_t serial; /* never used twice: what jobs and queries are tagged with */
	uint8_t id[SESSION_ID_LEN], key[32];
	uint8_t boot[BOOT_ID_LEN];
	uint32_t peer_key;
	uint64_t began_ms, heard_ms, sent_ms;
	uint64_t n_sent, n_heard; /* frames; a number that is left out was lost */

	int64_t credit; /* what the peer will still take */
	struct stream *streams;
	size_t n_streams, next_stream;
	bool busy; /* frames wait for the connection: no batches and no heads until it is ready */
	bool heads_due;
	uint64_t heads_ms;      /* when Heads were sent last */
	uint64_t heads_version; /* channels up to this version were shown */

	int64_t granted;         /* what the peer may still send us */
	uint64_t paused_ms;      /* no credit is given before; 0: not paused */
	uint64_t heads_retry_ms; /* heads that are not good are not refused again before */
	uint64_t heads_again_ms; /* a head could not be judged: the peer is to show them again then; 0: none */
	struct reading *readings;
	size_t n_readings;
	struct told *told;
	size_t n_told;
	const char *problem; /* for operators; NULL: none */
	uint64_t bytes_in, bytes_out;
};

/* Boot ids that a peer has shown under one key, the latest first. */
enum { BOOTS_KEPT = 4 };
struct boots {
	uint32_t key; /* number */
	size_t n;
	uint8_t ids[BOOTS_KEPT][BOOT_ID_LEN];
	bool returned; /* one came again after another: two nodes run with these keys */
};

struct peer {
	char member[HANDLE_MAX + 1];
	bool blocked;
	char *block_reason;
	uint32_t dial; /* connection; 0: not dialling */
	bool dial_up;
	char *dial_endpoint;
	uint8_t dial_key[LINK_PUBLIC_LEN];
	struct hello dial_hello;
	uint64_t hello_ms; /* when the Hello was sent; 0: none is under way */
	uint64_t retry_ms; /* no Hello before */
	unsigned failures;
	char last_error[96];
	struct session *session;
	size_t unfinished; /* bytes it delivered whose commit is not done, in this session or an earlier one */
	size_t receipts;   /* the same of its receipts */
	size_t heads;      /* the same of heads that it showed and that are compared with what is held */
	uint64_t querying; /* serial of the session that asked what is being read, which may have ended; 0: none */
	struct boots boots;
	uint64_t bytes_in, bytes_out; /* of earlier sessions */
};

/* A batch of a channel of ours whose header a reader showed, and that we do not have. */
struct lost {
	char *audience;
	char reader[HANDLE_MAX + 1];
	struct digest head;
	uint32_t incarnation;
	uint64_t first;
	uint64_t moved_ms;       /* when it was shown, or the reader came further last */
	uint32_t at_incarnation; /* so far it came */
	uint64_t at;
	bool from_start; /* our place is not in the reader's history */
	bool given_up;   /* the reader does not give it */
};

/* Somebody's Hello that waits for the third message. */
struct meeting {
	uint32_t connection; /* 0: free */
	struct hello hello;
	uint64_t began_ms;
};

/* A batch that the disk changed and that is asked for again. */
struct repair {
	struct repair *next;
	struct damage damage; /* its audience is owned */
	size_t next_peer;     /* asked next */
	uint64_t asked;       /* serial of the session in which it is asked for; 0: none */
	uint64_t until_ms;    /* it may answer */
	uint64_t again_ms;    /* nobody is asked before */
	size_t n_failed;      /* who had nothing good in this round */
	bool committing;
	const char *why; /* the last try came to nothing; NULL: there was none */
};

/* What is in force, or was done, and is not durable yet. */
struct unsaved {
	struct unsaved *next;
	struct job *job;  /* a note or a setting; copied for each try; NULL: none, or it is durable */
	struct draft act; /* what the audit trail is to say of it; no topic: nothing, or it is durable */
	bool apart;       /* both together could not be written: one after the other */
	uint64_t tag;     /* of who waits for it; 0: nobody */
};

struct node {
	char member[HANDLE_MAX + 1];
	struct node_keys keys;
	uint8_t boot[BOOT_ID_LEN];
	struct trust *trust;
	uint64_t quota_bytes;
	uint64_t key_limit_ms, key_since_ms; /* 0: not watched; not known yet */
	size_t key_alarms;                   /* raised */
	bool keep_anchor;
	struct peer **peers; /* sorted by member: of every roster member but ourselves, and of those that left */
	size_t n_peers;
	struct channel **channels;
	size_t n_channels;
	struct meeting meetings[MEETINGS_MAX];
	uint32_t next_connection;
	uint64_t next_serial;
	uint64_t last_number;
	uint64_t version; /* of the channel that changed last */
	struct lost *lost;
	size_t n_lost;
	struct repair *repairs; /* in the order in which they were asked for */
	bool started;
	uint64_t ticked_ms;      /* the last NODE_TICK */
	struct unsaved *unsaved; /* in the order in which they came into force */
	struct unsaved *saving;  /* the one under way */
	bool save_failed;        /* the last try */
	uint64_t save_ms;        /* then: no try before */
	struct {
		bool known;          /* when the last one was; else what was published before today has none */
		uint64_t day;        /* of the last one, or of the last look; since 1970 */
		struct digest heads; /* of all heads that it anchors; zero: none */
		bool running;
		uint64_t retry_ms; /* none before; 0: no tick so far */
	} checkpoint;
	struct {
		bool due;     /* there may be something to publish again */
		bool pending; /* there is: nothing new is published before */
		bool running;
		uint64_t retry_ms; /* none before */
		uint64_t n_events; /* that were published again */
	} republish;
	struct node_counters counters;

	/* Of the present step. */
	uint64_t now_ms, time_ms;
	struct entropy entropy;
	struct node_update *update;
	bool short_of_memory;
};

/* node.c: actions. A failed allocation is noted and becomes the step's -ENOMEM. */
void node_act_hang_up(struct node *n, uint32_t connection);
/* These take what they are given (of a dial copies of it); false: out of memory, it will not be done. */
bool node_act_dial(struct node *n, uint32_t connection, const char *endpoint, const uint8_t *key);
bool node_act_commit(struct node *n, struct job *job);
bool node_act_query(struct node *n, struct query *query);
void node_act_kept(struct node *n, uint64_t tag, bool durable);
void node_act_simple(struct node *n, enum node_action_kind kind);
void node_log(struct node *n, int level, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Packs and sends a frame; with a session its id goes in front. Answers the packed length. */
size_t node_send(struct node *n, uint32_t connection, struct session *s, Frame *frame);
void node_refuse(struct node *n, uint32_t connection, struct session *s, enum refuse_code code, const char *reason);
/* The same about a channel, which need not be one of ours. */
void node_refuse_channel(struct node *n, struct session *s, enum refuse_code code, const char *reason,
	const char *publisher, const char *audience);
struct peer *node_peer(const struct node *n, const char *member); /* NULL: none */
struct channel *node_channel(const struct node *n, const char *publisher, const char *audience);
/* Remembers two headers that contradict each other (borrowed), those that stopped the channel rather than others. False: out of memory. */
bool channel_note_fork(struct channel *c, struct bytes header_a, const uint8_t *signature_a, struct bytes header_b,
	const uint8_t *signature_b);
struct channel *node_channel_id(const struct node *n, uint64_t id);
struct session *node_session(const struct node *n, uint64_t serial);
ProtobufCBinaryData wire_bytes(const void *data, size_t len);
size_t newly_published(const struct publish_job *p);  /* events that were not before */
void node_adopt(struct node *n, struct trust *trust); /* taken: puts newer rosters and cards in force */

/* gossip.c */
void gossip_ask(struct node *n, struct session *s); /* says what is known, so that the peer sends what is newer */
void gossip_take(struct node *n, struct session *s, const Enlight__Link__V1__Note *note);
/* Judges a roster or card, and puts a newer one in force. `in`: the operator's input; NULL: a peer brought it. */
int gossip_note(
	struct node *n, const char *name, struct bytes text, const struct node_input *in, struct problems *problems);
int gossip_pin(struct node *n, const struct node_input *in);
void gossip_keep_anchor(struct node *n);

/* key_age.c */
void key_age_tick(struct node *n);

/* keep.c */
/* A note or setting that is in force (taken; NULL: none), and what the trail says of it (borrowed; NULL: nothing). */
void keep(struct node *n, struct job *job, const struct act *act, uint64_t tag);
/* The same of a setting that says that it is now. False: no memory, which is noted. */
bool keep_time(struct node *n, const char *name, uint64_t tag);
void keep_nothing(struct node *n, uint64_t tag); /* there was no memory for it */
bool keep_is_full(const struct node *n);         /* as many acts wait as may */
void keep_committed(struct node *n, const struct job *job);
void keep_tick(struct node *n);
void keep_free(struct node *n);

/* checkpoint.c */
void checkpoint_tick(struct node *n);
void checkpoint_committed(struct node *n, const struct job *job);

/* view.c */

/* meet.c */
void meet_up(struct node *n, struct peer *p);
void meet_down(struct node *n, uint32_t connection, const char *reason);
void meet_hello(struct node *n, uint32_t connection, const uint8_t *key, const Enlight__Link__V1__Hello *hello);
void meet_refused(struct node *n, uint32_t connection, uint32_t code);
void meet_stuck(struct node *n, uint32_t connection);
void meet_lost(struct node *n, struct session *s); /* a frame of the session was lost */
void meet_tick(struct node *n);
void meet_dial(struct node *n, struct peer *p); /* dials, redials or stops dialling, as things stand */
void session_drop(struct node *n, struct session *s, const char *reason);
bool session_is_valid(const struct node *n, const struct session *s); /* by the trust in force */
struct session *session_of_connection(const struct node *n, uint32_t connection);

/* read.c */
void read_begin(struct node *n, struct session *s);
void read_heads(struct node *n, struct session *s, const Enlight__Link__V1__Heads *heads);
void read_deliver(struct node *n, struct session *s, const Enlight__Link__V1__Deliver *deliver, size_t frame_len);
void read_accepted(struct node *n, struct job *job);
void read_refused(struct node *n, struct session *s, const Enlight__Link__V1__Refuse *refuse);
void read_changed(struct node *n, const struct changed_channel *changed);
void read_tick(struct node *n, struct session *s);
void read_deinit(struct session *s);
void send_receipt(struct node *n, struct session *s, const struct channel *c);
struct reading *find_reading(const struct session *s, const char *publisher, const char *audience); /* NULL: none */
struct reading *reading_of(struct node *n, struct session *s, const char *publisher, const char *audience);
void fetch_channel(struct node *n, struct session *s, struct reading *rd);
/* The same behind another place than the end of what is held. */
void fetch_behind(struct node *n, struct session *s, struct reading *rd, const struct behind *behind);
void refuse_head(
	struct node *n, struct session *s, const char *why); /* the peer shows its heads again, after a pause */
/* Has a head compared with what is held, where it may contradict it: the peer's own, or another publisher's. */
void judge_head(
	struct node *n, struct session *s, const char *publisher, struct bytes packed, const uint8_t *signature);

/* recover.c */
void recover_head(struct node *n, struct session *s, const struct header *h, struct bytes packed,
	const uint8_t *signature); /* of a channel of ours */
bool recover_from_start(const struct node *n, const struct session *s,
	const struct reading *rd); /* our place is not in the reader's history */
bool recover_wants(const struct node *n, const struct session *s,
	const struct reading *rd);                                 /* false: it is one of ours, and all of it is here */
bool recover_reads(const struct node *n, const struct session *s); /* something of ours is asked for in this session */
void recover_committed(
	struct node *n, const struct accept_job *a, const struct header *h); /* whatever became of its session */
void recover_accepted(
	struct node *n, struct session *s, struct reading *rd, const struct accept_job *a, const struct header *h);
void recover_refused(
	struct node *n, struct session *s, struct reading *rd); /* our place is not in the reader's history */
bool recover_waits(const struct node *n);                       /* something may come yet */
/* Whether the peer is told of a later incarnation though it may hold what we lack. */
bool recover_gave_up(const struct node *n, const struct session *s, const char *audience);
void recover_free(struct node *n);

/* republish.c */
void republish_due(struct node *n); /* there is something to publish again */
bool republish_pends(const struct node *n);
void republish_tick(struct node *n);
void republish_committed(struct node *n, const struct job *job);
/* repair.c */
int repair_begin(struct node *n, const struct damage *damage); /* 0, or -EAGAIN: too many wait */
bool repair_takes(struct node *n, struct session *s, const struct header *h,
	const Enlight__Link__V1__Deliver *deliver); /* false: it was not asked for to mend anything */
void repair_committed(struct node *n, const struct job *job);
void repair_refused(struct node *n, const struct session *s, const char *publisher, const char *audience);
void repair_tick(struct node *n);
void repair_free(struct node *n);
size_t repair_count(const struct node *n);

/* serve.c */
void serve_begin(struct node *n, struct session *s);
void serve_fetch(struct node *n, struct session *s, const Enlight__Link__V1__Fetch *fetch);
void serve_fetched(struct node *n, struct query *query);
void serve_published(struct node *n, const struct own_batch *batches, size_t n_batches);
void serve_receipt(struct node *n, struct session *s, const Enlight__Link__V1__SignedReceipt *receipt);
void serve_lost_receipt(struct node *n, const char *reader); /* it could not be stored */
void serve_busy(struct node *n, uint32_t connection, bool busy);
void serve_tick(struct node *n, struct session *s);
bool serve_shows(
	const struct node *n, const struct session *s, const struct channel *c); /* whether the peer may see its head */
void serve_head(struct node *n, struct session *s, struct bytes header, const uint8_t *signature); /* at once */
void serve_heads_again(struct session *s, uint64_t now_ms); /* all of them, not before `now_ms` and a pause */

/* disown.c */
bool disown_due(const struct node *n,
	const struct channel *c); /* what the publisher says of it itself comes before what is held */
void disown(struct node *n, const struct session *s, const char *publisher,
	const char *audience); /* when that is due, and it is the peer's */
void disown_committed(struct node *n, const struct disown_job *job);

/* witness.c */
void witness_head(struct node *n, struct session *s, const struct header *h, struct bytes packed,
	const uint8_t *signature); /* of a channel that is not the peer's */
void witness_judged(struct node *n, struct session *s, const struct accept_job *a); /* `s` may be NULL */
void witness_stopped(struct node *n, struct session *s, const struct channel *c,
	struct bytes packed); /* a head of a channel that is stopped */
void witness_tell(struct node *n, const struct accept_job *a, const struct header *h); /* of a fork that was found */

#endif
