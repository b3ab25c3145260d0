#include "base/bytes.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for `len` more bytes, or NULL with the error noted. */
static uint8_t *buffer_room(struct buffer *b, size_t len)
{
	size_t size = b->size != 0 ? b->size : 64;
	uint8_t *data;

	if (b->error != 0)
		return NULL;
	if (len > SIZE_MAX / 2 - b->len) {
		b->error = -ENOMEM;
		return NULL;
	}
	while (size < b->len + len)
		size *= 2;
	if (size != b->size) {
		data = realloc(b->data, size);
		if (data == NULL) {
			b->error = -ENOMEM;
			return NULL;
		}
		b->data = data;
		b->size = size;
	}
	return b->data + b->len;
}

void buffer_add(struct buffer *b, const void *data, size_t len)
{
	uint8_t *room = buffer_room(b, len);

	if (room == NULL)
		return;
	if (len != 0)
		memcpy(room, data, len);
	b->len += len;
}

void buffer_str(struct buffer *b, const char *s)
{
	buffer_add(b, s, strlen(s));
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	size_t left = b->error == 0 ? b->size - b->len : 0;
	va_list args;
	uint8_t *room;
	int n;

	va_start(args, format);
	n = vsnprintf(left == 0 ? NULL : (char *)b->data + b->len, left, format, args);
	va_end(args);
	assert(n >= 0);
	if ((size_t)n >= left) { /* it did not fit */
		room = buffer_room(b, (size_t)n + 1);
		if (room == NULL)
			return;
		va_start(args, format);
		vsnprintf((char *)room, (size_t)n + 1, format, args);
		va_end(args);
	}
	b->len += (size_t)n;
}

void buffer_be32(struct buffer *b, uint32_t v)
{
	uint8_t be[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

	buffer_add(b, be, sizeof be);
}

void buffer_be64(struct buffer *b, uint64_t v)
{
	buffer_be32(b, (uint32_t)(v >> 32));
	buffer_be32(b, (uint32_t)v);
}

const char *buffer_cstr(struct buffer *b)
{
	uint8_t *room = buffer_room(b, 1);

	if (room == NULL)
		return NULL;
	*room = '\0';
	return (const char *)b->data;
}

void *buffer_take(struct buffer *b, size_t *len)
{
	void *data = (void *)buffer_cstr(b);

	if (data == NULL)
		return NULL;
	if (len != NULL)
		*len = b->len;
	*b = (struct buffer){0};
	return data;
}

void buffer_clear(struct buffer *b)
{
	b->len = 0;
	b->error = 0;
}

void buffer_deinit(struct buffer *b)
{
	if (b->data != NULL)
		sodium_memzero(b->data, b->size);
	free(b->data);
	*b = (struct buffer){0};
}

struct bytes bytes_of(const void *data, size_t len)
{
	return (struct bytes){data, len};
}

struct bytes bytes_str(const char *s)
{
	return (struct bytes){(const uint8_t *)s, strlen(s)};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

void *bytes_dup(struct bytes b)
{
	uint8_t *copy = malloc(b.len + 1);

	if (copy == NULL)
		return NULL;
	if (b.len != 0)
		memcpy(copy, b.data, b.len);
	copy[b.len] = '\0'; /* so that a copied text is a string */
	return copy;
}

char **texts_dup(char *const *texts, size_t n, size_t room)
{
	char **copy = calloc(n + room + 1, sizeof *copy);

	for (size_t i = 0; i < n && copy != NULL; i++) {
		copy[i] = strdup(texts[i]);
		if (copy[i] == NULL) {
			texts_free(copy);
			return NULL;
		}
	}
	return copy;
}

void texts_free(char **texts)
{
	for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
		free(texts[i]);
	free(texts);
}

void hex_encode(char *out, const uint8_t *data, size_t len)
{
	sodium_bin2hex(out, 2 * len + 1, data, len);
}

bool hex_decode(uint8_t *out, size_t len, const char *hex)
{
	size_t got = 0;

	return strlen(hex) == 2 * len && sodium_hex2bin(out, len, hex, 2 * len, NULL, &got, NULL) == 0 && got == len;
}

void base64_encode(char *out, const uint8_t *data, size_t len)
{
	sodium_bin2base64(out, BASE64_SIZE(len), data, len, sodium_base64_VARIANT_ORIGINAL);
}

bool base64_decode(uint8_t *out, size_t len, const char *text, size_t text_len)
{
	size_t got = 0;

	/* libsodium refuses non-zero trailing bits, so a decoded text has one form only. */
	return text_len == BASE64_SIZE(len) - 1 &&
	       sodium_base642bin(out, len, text, text_len, NULL, &got, NULL, sodium_base64_VARIANT_ORIGINAL) == 0 &&
	       got == len;
}

int file_read(void **out, size_t *len, const char *path, size_t limit)
{
	char *data = NULL;
	size_t n = 0;
	ssize_t got;
	int fd, r = 0;

	*out = NULL;
	*len = 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	data = malloc(limit + 1);
	if (data == NULL) {
		r = -ENOMEM;
		goto out;
	}
	while ((got = read(fd, data + n, limit + 1 - n)) != 0) {
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			r = -errno;
			goto out;
		}
		n += (size_t)got;
		if (n > limit) {
			r = -EFBIG;
			goto out;
		}
	}
	data[n] = '\0';
	*out = data;
	*len = n;
	data = NULL;
out:
	free(data);
	close(fd);
	return r;
}

static int write_all(int fd, const void *data, size_t len)
{
	const char *p = data;
	ssize_t n;

	while (len != 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return fsync(fd) < 0 ? -errno : 0;
}

int file_sync_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
	int fd, r;

	if (folder == NULL)
		return -ENOMEM;
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return -errno;
	r = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return r;
}

int file_write(const char *path, const void *data, size_t len, unsigned mode)
{
	char *temporary = NULL;
	int fd = -1, r;

	if (asprintf(&temporary, "%s.XXXXXX", path) < 0)
		return -ENOMEM;
	fd = mkostemp(temporary, O_CLOEXEC);
	if (fd < 0) {
		r = -errno;
		goto out_free;
	}
	r = write_all(fd, data, len);
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	close(fd);
	if (r == 0 && rename(temporary, path) < 0)
		r = -errno;
	if (r == 0)
		r = file_sync_folder(path);
	else
		unlink(temporary);
out_free:
	free(temporary);
	return r;
}
