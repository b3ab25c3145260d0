/* handlers - what the rows of the route table call. Each is called once, when the body is whole, and answers, or leaves the request
 * waiting. */
#ifndef ENLIGHT_API_HANDLERS_H
#define ENLIGHT_API_HANDLERS_H

struct request;

/* events_post.c */
void handle_events_post(struct request *rq);

/* events_get.c */
void handle_events_get(struct request *rq);
void handle_event_get(struct request *rq);
void handle_evidence_get(struct request *rq);
void handle_fork_get(struct request *rq);

/* stream.c */
void handle_events_stream(struct request *rq);

/* operate.c */
void handle_index(struct request *rq);
void handle_status(struct request *rq);
void handle_peers(struct request *rq);
void handle_peer_block(struct request *rq);
void handle_peer_unblock(struct request *rq);
void handle_channels(struct request *rq);
void handle_topics(struct request *rq);
void handle_topic(struct request *rq);
void handle_invite(struct request *rq);
void handle_card(struct request *rq);
void handle_roster(struct request *rq);
void handle_rosters(struct request *rq);
void handle_roster_text(struct request *rq);
void handle_roster_pin(struct request *rq);
void handle_metrics(struct request *rq);
void handle_live(struct request *rq);
void handle_ready(struct request *rq);

/* backup.c */
void handle_backup(struct request *rq);
void handle_backup_begin(struct request *rq);
void handle_backup_database(struct request *rq);
void handle_backup_end(struct request *rq);

/* store.c */
void handle_store_check(struct request *rq);
void handle_store_repair(struct request *rq);
void handle_store_repairs(struct request *rq);

/* plugins.c */
void handle_plugins(struct request *rq);
void handle_held(struct request *rq);
void handle_held_row(struct request *rq);
void handle_held_retry(struct request *rq);
void handle_held_retry_all(struct request *rq);
void handle_held_drop(struct request *rq);

#endif
