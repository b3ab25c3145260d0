/* bytes - views of memory, growing buffers, and their text forms. Knows nothing of the domain. */
#ifndef ENLIGHT_BASE_BYTES_H
#define ENLIGHT_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed view; `data` may be NULL when `len` is 0. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

/* A growing buffer. The zeroed value is empty and ready; release with buffer_deinit(). `error` is -ENOMEM once an append
 * failed; later appends do nothing, so a writer checks it once at the end. */
struct buffer {
	uint8_t *data;
	size_t len, size;
	int error;
};

void buffer_add(struct buffer *b, const void *data, size_t len);
void buffer_str(struct buffer *b, const char *s);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_be32(struct buffer *b, uint32_t v); /* big-endian */
void buffer_be64(struct buffer *b, uint64_t v);

/* Makes the content a C string (the terminating NUL is not counted in len). NULL when an append failed. The buffer keeps
 * it. */
const char *buffer_cstr(struct buffer *b);

/* Hands the content to the caller, who frees it; the buffer is empty afterwards. NULL when an append failed. */
void *buffer_take(struct buffer *b, size_t *len);
void buffer_clear(struct buffer *b);  /* forgets the content, keeps the memory */
void buffer_deinit(struct buffer *b); /* wipes and frees */

struct bytes bytes_of(const void *data, size_t len);
struct bytes bytes_str(const char *s); /* without the NUL */
bool bytes_equal(struct bytes a, struct bytes b);

/* Copies into memory the caller frees. NULL: out of memory. A zero length gives a valid pointer. */
void *bytes_dup(struct bytes b);

/* A list of texts, ended by NULL as well, in memory that texts_free() frees; `room` more would fit in front of the NULL. NULL: out of
 * memory. texts_free() takes NULL. */
char **texts_dup(char *const *texts, size_t n, size_t room);
void texts_free(char **texts);

/* Lower-case hexadecimal, NUL-terminated: `out` has 2 * len + 1 bytes. */
void hex_encode(char *out, const uint8_t *data, size_t len);

/* Exactly 2 * len digits, either case, and nothing after. False: not so; `out` is undefined then. */
bool hex_decode(uint8_t *out, size_t len, const char *hex);

/* Standard base64 with padding (RFC 4648, section 4), NUL-terminated: `out` has BASE64_SIZE(len) bytes. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4 + 1)
void base64_encode(char *out, const uint8_t *data, size_t len);

/* Decodes exactly `len` bytes from the text, which must be canonical. False: not so. */
bool base64_decode(uint8_t *out, size_t len, const char *text, size_t text_len);

/* A file's whole content, at most `limit` bytes, into memory the caller frees (NUL-terminated; the NUL is not counted).
 * Errors: -errno of open or read, -EFBIG, -ENOMEM. */
int file_read(void **out, size_t *len, const char *path, size_t limit);

/* Replaces a file whole and durably: a temporary file beside it, fsync, rename, fsync of the folder.
 * Errors: -errno. `mode` is exact, whatever the umask. */
int file_write(const char *path, const void *data, size_t len, unsigned mode);

/* Makes durable what was renamed or made in the folder of a file. 0 or -errno. */
int file_sync_folder(const char *path);

#endif
