/* replay - calls a fuzzing target with each file of the folders and files it is given, in the order of their names: what was found
 * once is looked at in every test run. The target itself says what is wrong; its last line on stderr is then the file. */
#include "fuzz.h"

#include <dirent.h>
#include <sysexits.h>

enum { REPLAY_MAX = 1 << 20 };

static unsigned long replayed;

static int replay_file(const char *path)
{
	void *data;
	size_t len;
	uint8_t *input;
	int r = file_read(&data, &len, path, REPLAY_MAX);

	if (r != 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return EX_NOINPUT;
	}
	fprintf(stderr, "%s\n", path);
	input = malloc(len == 0 ? 1 : len); /* of its very size, so that a step behind it is seen */
	must(input != NULL);
	memcpy(input, data, len);
	LLVMFuzzerTestOneInput(input, len);
	free(input);
	free(data);
	replayed++;
	return 0;
}

static int replay(const char *path)
{
	struct dirent **names;
	int n = scandir(path, &names, NULL, alphasort), r = 0;

	if (n < 0)
		return replay_file(path);
	for (int i = 0; i < n; i++) {
		char file[4096];

		if (names[i]->d_name[0] != '.' && r == 0 &&
			(size_t)snprintf(file, sizeof file, "%s/%s", path, names[i]->d_name) < sizeof file)
			r = replay_file(file);
		free(names[i]);
	}
	free(names);
	return r;
}

int main(int argc, char **argv)
{
	int r = 0;

	for (int i = 1; i < argc && r == 0; i++)
		r = replay(argv[i]);
	if (r == 0 && replayed == 0) {
		fprintf(stderr, "there is nothing to replay\n");
		r = EX_USAGE;
	}
	return r;
}
