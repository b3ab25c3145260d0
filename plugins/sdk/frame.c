#include "frame.h"

#include "core/limits.h"
#include <errno.h>
#include <protobuf-c/protobuf-c.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 64 * 1024, LENGTH_MAX = 5 /* bytes of a varint of 32 bits */ };

/* Reads the length in front of a frame; `*head` is how many bytes it takes. */
static int length_of(const struct frames *f, size_t *head, size_t *len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < LENGTH_MAX; i++) {
		if (f->at + i == f->len)
			return FRAME_PARTLY;
		v |= (uint64_t)(f->data[f->at + i] & 0x7f) << (7 * i);
		if (v > FRAME_MAX)
			return FRAME_TOO_LARGE;
		if (f->data[f->at + i] < 0x80) {
			*head = i + 1;
			*len = v;
			return FRAME_WHOLE;
		}
	}
	return FRAME_TOO_LARGE;
}

int frames_next(struct frames *f, struct bytes *out)
{
	size_t head, len;
	int r = length_of(f, &head, &len);

	if (r != FRAME_WHOLE)
		return r;
	if (f->len - f->at < head + len)
		return FRAME_PARTLY;
	*out = bytes_of(f->data + f->at + head, len);
	f->at += head + len;
	return FRAME_WHOLE;
}

/* Makes room for a chunk behind what is there. What is there is less than one frame. */
static bool make_room(struct frames *f)
{
	size_t left = f->len - f->at, size = left + CHUNK;
	uint8_t *data;

	if (left > 0 && f->at > 0)
		memmove(f->data, f->data + f->at, left);
	f->at = 0;
	f->len = left;
	if (size <= f->size)
		return true;
	data = realloc(f->data, size);
	if (data == NULL)
		return false;
	f->data = data;
	f->size = size;
	return true;
}

int frames_fill(struct frames *f, int fd)
{
	ssize_t n;

	if (!make_room(f))
		return -ENOMEM;
	do
		n = read(fd, f->data + f->len, CHUNK);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 1 : -errno;
	f->len += (size_t)n;
	return n > 0;
}

void frames_deinit(struct frames *f)
{
	free(f->data);
	*f = (struct frames){0};
}

void frame_put(struct buffer *out, const void *message)
{
	size_t len = protobuf_c_message_get_packed_size(message), left = len;
	uint8_t head[LENGTH_MAX], *packed = malloc(len > 0 ? len : 1);
	size_t n = 0;

	if (packed == NULL) {
		out->error = -ENOMEM;
		return;
	}
	for (; left >= 0x80; left >>= 7)
		head[n++] = (uint8_t)(left | 0x80);
	head[n++] = (uint8_t)left;
	protobuf_c_message_pack(message, packed);
	buffer_add(out, head, n);
	buffer_add(out, packed, len);
	free(packed);
}
