#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGITS = 2 * SECRET_FILE_LEN };

int secret_read(uint8_t out[static SECRET_FILE_LEN], const char *path, bool private_folder, struct problems *problems)
{
	void *text = NULL;
	struct stat st;
	size_t len = 0;
	bool good;
	int r;

	r = stat(path, &st) < 0 ? -errno : file_read(&text, &len, path, DIGITS + 1);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && r != -EFBIG) {
		problem_addf(problems, path, "cannot be read: %s", strerror(-r));
		return SECRET_BAD;
	}
	if (len == DIGITS + 1 && ((char *)text)[DIGITS] == '\n')
		((char *)text)[DIGITS] = '\0';
	good = r == 0 && hex_decode(out, SECRET_FILE_LEN, text);
	if (!good)
		problem_addf(problems, path, "is no key file: it must hold %d hexadecimal digits", DIGITS);
	if (!private_folder && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
		problem_add(problems, path, "can be read by others than its owner: chmod 600");
		good = false;
	}
	if (text != NULL)
		sodium_memzero(text, len);
	free(text);
	if (!good)
		sodium_memzero(out, SECRET_FILE_LEN);
	return good ? 0 : SECRET_BAD;
}

int secret_replace(const char *path, const uint8_t secret[static SECRET_FILE_LEN])
{
	char text[DIGITS + 2];
	int r;

	hex_encode(text, secret, SECRET_FILE_LEN);
	text[DIGITS] = '\n';
	r = file_write(path, text, DIGITS + 1, 0600);
	sodium_memzero(text, sizeof text);
	return r;
}

int secret_write(const char *path, const uint8_t secret[static SECRET_FILE_LEN])
{
	int r = access(path, F_OK) == 0 ? -EEXIST : secret_replace(path, secret);

	if (r != 0 && r != -EEXIST)
		unlink(path); /* it may have its name, and lack only what keeps that */
	return r;
}

static int overwrite(const char *path)
{
	char noise[DIGITS + 1];
	int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW), r = 0;

	if (fd < 0)
		return -errno;
	randombytes_buf(noise, sizeof noise);
	if (write(fd, noise, sizeof noise) != (ssize_t)sizeof noise || fsync(fd) < 0)
		r = errno != 0 ? -errno : -EIO;
	close(fd);
	return r;
}

int secret_destroy(const char *path)
{
	char *copy = strdup(path);
	int fd, r;

	if (copy == NULL)
		return -ENOMEM;
	errno = 0;
	r = overwrite(path);
	if (r == 0 && unlink(path) < 0)
		r = -errno;
	fd = r == 0 ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	if (r == 0 && (fd < 0 || fsync(fd) < 0))
		r = -errno;
	if (fd >= 0)
		close(fd);
	free(copy);
	return r;
}
