/* stream - events as they come, as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * A stream holds at most one page: the next is asked for when the last was written to the client, so a slow one holds up
 * nobody and nothing piles up for it. At the end it sleeps until api_committed() or its ping. */
#ifndef ENLIGHT_API_STREAM_H
#define ENLIGHT_API_STREAM_H

#include "api/request.h"

enum { STREAMS_MAX = 64, STREAM_PAGE = 64, STREAM_PING_MS = 15000, STREAM_RETRY_MS = 200 };

/* The response of a request that has a stream. NULL: out of memory. */
struct MHD_Response *stream_response(struct request *rq);

/* Events were committed; time has passed. Both do nothing to a stream that has something to write. */
void stream_wake(struct request *rq);
void stream_tick(struct request *rq, uint64_t now_ms);
uint64_t stream_due_ms(const struct request *rq); /* when stream_tick() has something to do */

void stream_free(struct request *rq); /* without a stream a no-op */

#endif
