/* frame - messages on a stream, each preceded by its length as a varint. */
#ifndef ENLIGHT_SDK_FRAME_H
#define ENLIGHT_SDK_FRAME_H

#include "base/bytes.h"

/* What came and was not yet read. The zeroed value is empty; release with frames_deinit(). */
struct frames {
	uint8_t *data;
	size_t at, len, size;
};

/* Takes in what a descriptor gives. 1; 0: it gives nothing more, ever; or -errno. */
int frames_fill(struct frames *f, int fd);

/* The next frame, borrowed until the next call of frames_fill(). FRAME_WHOLE; FRAME_PARTLY: more must come first;
 * FRAME_TOO_LARGE: its length is above the limit, nothing that follows can be read. */
enum { FRAME_WHOLE = 1, FRAME_PARTLY, FRAME_TOO_LARGE };
int frames_next(struct frames *f, struct bytes *out);
void frames_deinit(struct frames *f);

/* Appends a message as a frame. */
void frame_put(struct buffer *out, const void *message);

#endif
