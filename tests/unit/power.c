#include "power.h"

#include "faulty_vfs.h"
#include "unit.h"

#include <limits.h>
#include <pthread.h>
#include <string.h>

/* Names are few; each file that ever had one of them is a number, with what is written to it under that number. */

enum { MAX_NAMES = 8, MAX_FILES = 64, NAME_SIZE = 64 };
enum { NO_FILE = -1 };

enum kind { WRITE, TRUNCATE, SYNC, LINK, UNLINK, SYNC_NAMES, MARK, N_KINDS };

struct entry {
	enum kind kind;
	int file, name;
	uint64_t at; /* of a write; the size after a truncation */
	size_t n;
	uint8_t *data;
};

/* What is in a file. */
struct content {
	uint8_t *data;
	size_t len, room;
};

static struct {
	pthread_mutex_t mutex;
	const char *folder; /* NULL: nothing is recorded */
	struct entry *entries;
	size_t n, room;
	size_t counts[N_KINDS];
	char names[MAX_NAMES][NAME_SIZE];
	int n_names, n_files;
	int file_of[MAX_NAMES];  /* now */
	int first_of[MAX_NAMES]; /* when the recording began */
	struct content first[MAX_FILES];
} recording = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void *must(void *memory)
{
	ck_assert_ptr_nonnull(memory);
	return memory;
}

static void resize(struct content *c, size_t len)
{
	if (len > c->room) {
		c->room = len * 2;
		c->data = must(realloc(c->data, c->room));
	}
	if (len > c->len)
		memset(c->data + c->len, 0, len - c->len);
	c->len = len;
}

static void put(struct content *c, const uint8_t *data, size_t n, uint64_t at)
{
	if (n == 0)
		return;
	if (at + n > c->len)
		resize(c, at + n);
	memcpy(c->data + at, data, n);
}

/* The log */

static int name_of(const char *path)
{
	const char *name = strrchr(path, '/') + 1;

	for (int i = 0; i < recording.n_names; i++)
		if (strcmp(recording.names[i], name) == 0)
			return i;
	ck_assert_int_lt(recording.n_names, MAX_NAMES);
	ck_assert_uint_lt(strlen(name), NAME_SIZE);
	strcpy(recording.names[recording.n_names], name);
	recording.file_of[recording.n_names] = NO_FILE;
	recording.first_of[recording.n_names] = NO_FILE;
	return recording.n_names++;
}

static void add(struct entry e)
{
	if (recording.n == recording.room) {
		recording.room = recording.room * 2 + 256;
		recording.entries = must(realloc(recording.entries, recording.room * sizeof e));
	}
	recording.entries[recording.n++] = e;
	recording.counts[e.kind]++;
}

/* The file of this name, which is new when there was none. */
static int file_at(int name)
{
	if (recording.file_of[name] == NO_FILE) {
		ck_assert_int_lt(recording.n_files, MAX_FILES);
		recording.file_of[name] = recording.n_files++;
		add((struct entry){.kind = LINK, .name = name, .file = recording.file_of[name]});
	}
	return recording.file_of[name];
}

static bool begin(const char *path)
{
	size_t len;

	pthread_mutex_lock(&recording.mutex);
	len = recording.folder != NULL ? strlen(recording.folder) : 0;
	if (len > 0 && strncmp(path, recording.folder, len) == 0 && path[len] == '/')
		return true;
	pthread_mutex_unlock(&recording.mutex);
	return false;
}

static void end(void)
{
	pthread_mutex_unlock(&recording.mutex);
}

static void opened(const char *path)
{
	if (!begin(path))
		return;
	file_at(name_of(path));
	end();
}

static void written(const char *path, const void *data, size_t n, uint64_t at)
{
	struct entry e = {.kind = WRITE, .n = n, .at = at};

	if (!begin(path))
		return;
	e.data = must(malloc(n));
	memcpy(e.data, data, n);
	e.file = file_at(name_of(path));
	add(e);
	end();
}

static void truncated(const char *path, uint64_t size)
{
	if (!begin(path))
		return;
	add((struct entry){.kind = TRUNCATE, .file = file_at(name_of(path)), .at = size});
	end();
}

static void synced(const char *path, bool names)
{
	if (!begin(path))
		return;
	add((struct entry){.kind = SYNC, .file = file_at(name_of(path))});
	if (names)
		add((struct entry){.kind = SYNC_NAMES});
	end();
}

static void deleted(const char *path, bool names)
{
	int name;

	if (!begin(path))
		return;
	name = name_of(path);
	add((struct entry){.kind = UNLINK, .name = name, .file = file_at(name)});
	recording.file_of[name] = NO_FILE;
	if (names)
		add((struct entry){.kind = SYNC_NAMES});
	end();
}

static void folder_synced(const char *path)
{
	pthread_mutex_lock(&recording.mutex);
	if (recording.folder != NULL && strcmp(path, recording.folder) == 0)
		add((struct entry){.kind = SYNC_NAMES});
	pthread_mutex_unlock(&recording.mutex);
}

int __real_fsync(int fd);
int __wrap_fsync(int fd);

int __wrap_fsync(int fd)
{
	char link[64], path[PATH_MAX];
	int r = __real_fsync(fd);
	struct stat st;
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (r != 0 || n <= 0 || fstat(fd, &st) < 0)
		return r;
	path[n] = '\0';
	if (S_ISDIR(st.st_mode))
		folder_synced(path);
	else
		synced(path, false);
	return r;
}

static void read_content(struct content *c, const char *path)
{
	FILE *file = must(fopen(path, "rb"));
	uint8_t block[4096];
	size_t n;

	while ((n = fread(block, 1, sizeof block, file)) > 0)
		put(c, block, n, c->len);
	fclose(file);
}

/* What lies there now, but for locks and shared memory, which no power cut leaves of use. */
static void take_inventory(const char *folder)
{
	DIR *open_folder = must(opendir(folder));
	struct dirent *found;

	while ((found = readdir(open_folder)) != NULL) {
		char path[PATH_MAX];
		int name;

		if (found->d_name[0] == '.' || strstr(found->d_name, "-shm") != NULL ||
			strstr(found->d_name, ".lock") != NULL)
			continue;
		snprintf(path, sizeof path, "%s/%s", folder, found->d_name);
		name = name_of(path);
		recording.file_of[name] = recording.first_of[name] = recording.n_files;
		read_content(&recording.first[recording.n_files++], path);
	}
	closedir(open_folder);
}

void power_forget(void)
{
	for (size_t i = 0; i < recording.n; i++)
		free(recording.entries[i].data);
	free(recording.entries);
	for (int i = 0; i < MAX_FILES; i++)
		free(recording.first[i].data);
	memset(recording.first, 0, sizeof recording.first);
	memset(recording.counts, 0, sizeof recording.counts);
	recording.entries = NULL;
	recording.n = recording.room = 0;
	recording.n_names = recording.n_files = 0;
}

void power_record(const char *folder)
{
	static const struct faulty_watch watch = {opened, written, truncated, synced, deleted};

	power_forget();
	take_inventory(folder);
	recording.folder = folder;
	faulty_vfs_watch(&watch);
}

void power_stop(void)
{
	pthread_mutex_lock(&recording.mutex);
	recording.folder = NULL;
	pthread_mutex_unlock(&recording.mutex);
}

void power_mark(void)
{
	pthread_mutex_lock(&recording.mutex);
	if (recording.folder != NULL)
		add((struct entry){.kind = MARK});
	pthread_mutex_unlock(&recording.mutex);
}

struct power_counts power_counts(void)
{
	const size_t *c = recording.counts;

	return (struct power_counts){.entries = recording.n,
		.writes = c[WRITE],
		.truncations = c[TRUNCATE],
		.syncs = c[SYNC] + c[SYNC_NAMES],
		.names = c[LINK] + c[UNLINK],
		.marks = c[MARK]};
}

/* The disk */

struct power_disk {
	enum power_lie lie;
	size_t at; /* entries played */
	size_t marks;
	struct content synced[MAX_FILES];
	size_t synced_at[MAX_FILES]; /* entries before this are in `synced` */
	int file_of[MAX_NAMES];      /* as of the last sync of the folder */
	size_t names_at;
};

struct power_disk *power_disk_new(enum power_lie lie)
{
	struct power_disk *d = must(calloc(1, sizeof *d));

	d->lie = lie;
	memcpy(d->file_of, recording.first_of, sizeof d->file_of);
	for (int i = 0; i < MAX_FILES; i++)
		put(&d->synced[i], recording.first[i].data, recording.first[i].len, 0);
	return d;
}

void power_disk_free(struct power_disk *d)
{
	for (int i = 0; i < MAX_FILES; i++)
		free(d->synced[i].data);
	free(d);
}

static void apply(struct content *c, const struct entry *e)
{
	if (e->kind == WRITE)
		put(c, e->data, e->n, e->at);
	else if (e->kind == TRUNCATE)
		resize(c, e->at);
}

static void apply_name(int *file_of, const struct entry *e)
{
	if (e->kind == LINK)
		file_of[e->name] = e->file;
	else if (e->kind == UNLINK)
		file_of[e->name] = NO_FILE;
}

static bool changes(const struct entry *e, int file)
{
	return (e->kind == WRITE || e->kind == TRUNCATE) && e->file == file;
}

bool power_disk_step(struct power_disk *d)
{
	const struct entry *e = &recording.entries[d->at];

	if (d->at == recording.n)
		return false;
	d->at++;
	if (e->kind == SYNC && d->lie != POWER_IGNORES_SYNC) {
		for (size_t i = d->synced_at[e->file]; i < d->at; i++)
			if (changes(&recording.entries[i], e->file))
				apply(&d->synced[e->file], &recording.entries[i]);
		d->synced_at[e->file] = d->at;
	}
	if (e->kind == SYNC_NAMES && d->lie != POWER_IGNORES_NAMES) {
		for (size_t i = d->names_at; i < d->at; i++)
			apply_name(d->file_of, &recording.entries[i]);
		d->names_at = d->at;
	}
	d->marks += e->kind == MARK;
	return true;
}

size_t power_disk_marks(const struct power_disk *d)
{
	return d->marks;
}

/* What becomes of the writes that were not synced. */

struct fate {
	enum { WHOLE_WRITES, SECTORS, ANY_BYTES } tearing;
	size_t sector;
	unsigned kept; /* of 8: how many survive */
	bool grows;    /* a file may be longer for a write that is not there */
	uint64_t state;
};

/* splitmix64 (Steele, Lea and Flood, 2014) */
static uint64_t draw(struct fate *f)
{
	uint64_t z = f->state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static bool survives(struct fate *f)
{
	return draw(f) % 8 < f->kept;
}

static struct fate fate_of(uint64_t seed)
{
	static const unsigned kept[] = {0, 1, 4, 7, 8};
	static const struct fate kinds[] = {{.tearing = WHOLE_WRITES}, {.tearing = SECTORS, .sector = 512},
		{.tearing = SECTORS, .sector = 4096}, {.tearing = ANY_BYTES}};
	struct fate f = {.state = seed}, chosen = kinds[draw(&f) % 4];

	chosen.kept = kept[draw(&f) % 5];
	chosen.grows = draw(&f) % 4 == 0;
	chosen.state = f.state;
	return chosen;
}

static void tear_sectors(struct content *c, const struct entry *e, struct fate *f)
{
	uint64_t end = e->at + e->n, next;

	for (uint64_t at = e->at; at < end; at = next) {
		next = (at / f->sector + 1) * f->sector;
		if (next > end)
			next = end;
		if (survives(f))
			put(c, e->data + (at - e->at), next - at, at);
	}
}

/* One end of it is there. */
static void tear_anywhere(struct content *c, const struct entry *e, struct fate *f)
{
	size_t middle = (size_t)(draw(f) % (e->n + 1));

	if (draw(f) % 2 == 0)
		put(c, e->data, middle, e->at);
	else
		put(c, e->data + middle, e->n - middle, e->at + middle);
}

static void suffer(struct content *c, const struct entry *e, struct fate *f)
{
	if (e->kind == WRITE && f->tearing == SECTORS && f->kept != 0)
		tear_sectors(c, e, f);
	else if (survives(f))
		apply(c, e);
	else if (e->kind == WRITE && f->tearing == ANY_BYTES && f->kept != 0)
		tear_anywhere(c, e, f);
	else if (e->kind == WRITE && f->grows && e->at + e->n > c->len)
		resize(c, e->at + e->n);
}

static void write_content(const struct content *c, const char *folder, const char *name)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	file = must(fopen(path, "wb"));
	if (c->len > 0)
		ck_assert_uint_eq(fwrite(c->data, 1, c->len, file), c->len);
	ck_assert_int_eq(fclose(file), 0);
}

static void write_file(const struct power_disk *d, int name, int file, struct fate *f, const char *folder)
{
	struct content c = {0};

	put(&c, d->synced[file].data, d->synced[file].len, 0);
	for (size_t i = d->synced_at[file]; i < d->at; i++)
		if (changes(&recording.entries[i], file))
			suffer(&c, &recording.entries[i], f);
	write_content(&c, folder, recording.names[name]);
	free(c.data);
}

/* Shared memory lies in a file that nobody syncs: it may hold anything. */
static void write_shared_memory(struct fate *f, const char *folder)
{
	uint64_t words[4096];

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		words[i] = draw(f);
	write_content(&(struct content){.data = (uint8_t *)words, .len = sizeof words}, folder, "node.db-shm");
}

void power_disk_write(const struct power_disk *d, uint64_t seed, const char *folder)
{
	struct fate f = fate_of(seed);
	int file_of[MAX_NAMES];

	unit_folder_empty(folder);
	memcpy(file_of, d->file_of, sizeof file_of);
	for (size_t i = d->names_at; i < d->at; i++)
		if (survives(&f))
			apply_name(file_of, &recording.entries[i]);
	for (int name = 0; name < recording.n_names; name++)
		if (file_of[name] != NO_FILE)
			write_file(d, name, file_of[name], &f, folder);
	if (draw(&f) % 4 == 0)
		write_shared_memory(&f, folder);
}
